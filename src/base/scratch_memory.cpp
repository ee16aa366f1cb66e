#include "base/scratch_memory.h"

#include <fcntl.h>
#include <sys/mman.h>
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
