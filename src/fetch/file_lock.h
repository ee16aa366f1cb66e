// The lock of a file (flock), held as long as the object lives. Python's filelock takes the same.
#pragma once

#include <filesystem>
#include <functional>

namespace lorikeet {

class FileLock {
 public:
  /// Opens or creates the file and its parent folders, and calls `waiting` a few times a second while another process
  /// or thread holds the lock; `waiting` may throw to give up. Without effect on a file system that has no locks.
  FileLock(const std::filesystem::path& path, const std::function<void()>& waiting);
  ~FileLock();
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;

 private:
  int descriptor_ = -1;
};

}  // namespace lorikeet
