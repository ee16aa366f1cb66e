// A file lock (flock), held for the lifetime of the object. Compatible with Python's filelock.
#pragma once

#include <filesystem>
#include <functional>

namespace lorikeet {

class FileLock {
 public:
  /// Opens or creates the file and its parent folders. While another process or thread holds the lock, calls `waiting`
  /// a few times a second; `waiting` may throw to give up. Has no effect on file systems without locks.
  FileLock(const std::filesystem::path& path, const std::function<void()>& waiting);
  ~FileLock();
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;

 private:
  int descriptor_ = -1;
};

}  // namespace lorikeet
