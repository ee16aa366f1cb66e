#include "fetch/file_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>

#include "base/error.h"

namespace fs = std::filesystem;

namespace lorikeet {

FileLock::FileLock(const fs::path& path, const std::function<void()>& waiting) {
  constexpr auto kWait = std::chrono::milliseconds(200);
  std::error_code error;
  fs::create_directories(path.parent_path(), error);
  if (error) fail(path.parent_path().string(), ": cannot be created: ", error.message(), ".");
  struct stat status {};
  do {  // retries if the last owner has removed the file, as some versions of filelock do
    if (descriptor_ >= 0) ::close(descriptor_);
    descriptor_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0666);
    if (descriptor_ < 0) fail(path.string(), ": cannot be written: ", std::strerror(errno), ".");
    try {
      while (::flock(descriptor_, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
        if (waiting) waiting();
        std::this_thread::sleep_for(kWait);
      }
    } catch (...) {
      ::close(descriptor_);
      throw;
    }
  } while (::fstat(descriptor_, &status) == 0 && status.st_nlink == 0);
}

FileLock::~FileLock() { ::close(descriptor_); }

}  // namespace lorikeet
