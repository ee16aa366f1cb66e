#include "fetch/part_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>
#include <utility>

#include "base/error.h"
#include "base/file.h"

namespace fs = std::filesystem;

namespace lorikeet {
namespace {

constexpr auto kPause = std::chrono::milliseconds(200);  // between attempts to acquire the lock

[[noreturn]] void fail_write(const fs::path& path, int error) {
  const char* hint = error == ENOSPC || error == EDQUOT || error == EFBIG
                         ? " Free some space or choose another folder; the next attempt resumes this one."
                         : "";
  fail(path.string(), ": cannot be written: ", std::strerror(error), ".", hint);
}

// Whether `path` still refers to the open file, which may have been renamed or removed before the lock was acquired.
bool names_file(const fs::path& path, const struct stat& opened) {
  struct stat named {};
  return ::lstat(path.c_str(), &named) == 0 && named.st_dev == opened.st_dev && named.st_ino == opened.st_ino;
}

}  // namespace

PartFile::PartFile(fs::path destination, const std::string& ending, const std::function<void(std::uint64_t)>& waiting)
    : destination_(std::move(destination)), path_(destination_.string() + ending) {
  std::error_code error;
  if (destination_.has_parent_path()) fs::create_directories(destination_.parent_path(), error);
  if (error) fail(destination_.parent_path().string(), ": cannot be created: ", error.message(), ".");
  try {
    for (;;) {
      open();
      // File systems without locks (some network ones) return another error; continue without a lock.
      while (::flock(descriptor_, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
        struct stat status {};
        if (::fstat(descriptor_, &status) == 0 && waiting) waiting(static_cast<std::uint64_t>(status.st_size));
        waited_ = true;
        std::this_thread::sleep_for(kPause);
      }
      struct stat status {};
      if (::fstat(descriptor_, &status) != 0) fail_write(path_, errno);
      if (!S_ISREG(status.st_mode)) fail(path_.string(), ": got something else, expected a regular file. Remove it.");
      size_ = static_cast<std::uint64_t>(status.st_size);
      if (names_file(path_, status)) return;
      ::close(std::exchange(descriptor_, -1));
      waited_ = true;
    }
  } catch (...) {
    if (descriptor_ >= 0) ::close(descriptor_);
    throw;
  }
}

PartFile::~PartFile() {
  if (descriptor_ < 0) return;
  if (size_ == 0) ::unlink(path_.c_str());  // before the lock is released
  ::close(descriptor_);
}

void PartFile::open() {
  descriptor_ = ::open(path_.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0666);
  if (descriptor_ < 0) fail_write(path_, errno);
}

void PartFile::append(const void* bytes, std::size_t count) {
  if (!write_all(descriptor_, bytes, count, size_)) fail_write(path_, errno);
}

void PartFile::clear() {
  if (::ftruncate(descriptor_, 0) != 0) fail_write(path_, errno);
  size_ = 0;
}

void PartFile::commit() {
  if (::fsync(descriptor_) != 0) fail_write(path_, errno);
  if (::rename(path_.c_str(), destination_.c_str()) != 0) fail_write(destination_, errno);
  const int closed = ::close(std::exchange(descriptor_, -1));  // releases the lock, so only after the rename
  if (closed != 0) fail_write(destination_, errno);
  sync_folder(parent_of(destination_));
}

}  // namespace lorikeet
