#include "base/scratch_memory.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string>

#include "base/error.h"
#include "base/text.h"

namespace lorikeet {

ScratchMemory::ScratchMemory(const std::filesystem::path& folder, std::uint64_t bytes) : bytes_(bytes) {
  if (bytes == 0) return;
  std::string name = (folder / ".scratch.XXXXXX").string();
  const int descriptor = ::mkostemp(name.data(), O_CLOEXEC);
  if (descriptor < 0) fail(folder.string(), ": cannot be written: ", std::strerror(errno), ".");
  ::unlink(name.c_str());
  map(descriptor, folder);
}

std::unique_ptr<ScratchMemory> ScratchMemory::shared(const std::filesystem::path& path, std::uint64_t bytes) {
  const int descriptor = ::open(path.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0666);
  if (descriptor < 0) fail(path.string(), ": cannot be written: ", std::strerror(errno), ".");
  struct stat status {};
  if (::fstat(descriptor, &status) == 0 && status.st_size > static_cast<off_t>(bytes)) {
    ::close(descriptor);
    fail(path.string(), ": got ", status.st_size, " bytes, expected ", bytes, ".");
  }
  std::unique_ptr<ScratchMemory> out(new ScratchMemory);
  out->bytes_ = bytes;
  out->map(descriptor, path);
  return out;
}

void ScratchMemory::map(int descriptor, const std::filesystem::path& folder) {
  const std::uint64_t bytes = bytes_;
  // Otherwise a full disk would later end the process with SIGBUS.
  int error = ::posix_fallocate(descriptor, 0, static_cast<off_t>(bytes));
  void* const mapped =
      error == 0 ? ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0) : MAP_FAILED;
  if (error == 0 && mapped == MAP_FAILED) error = errno;
  ::close(descriptor);
  if (error != 0)
    fail(folder.string(), ": got no space for a cache of ", human_bytes(bytes), ": ", std::strerror(error),
         ". Free some, or set cache_disk_gib=0.");
  data_ = static_cast<std::byte*>(mapped);
}

ScratchMemory::~ScratchMemory() {
  if (data_ != nullptr) ::munmap(data_, bytes_);
}

}  // namespace lorikeet
