// A partial download: a file such as NAME.part beside its destination. A failed attempt leaves it for the next one to
// resume. Invariant: a PartFile holds the file's lock, so that processes or threads that download the same file do not
// write to it concurrently.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

namespace lorikeet {

class PartFile {
 public:
  /// Opens or creates the file `destination` + `ending` and its parent folders. While another process or thread holds
  /// the lock, waits and calls `waiting` with the current size; `waiting` may throw to give up. Throws Error if the
  /// file cannot be created.
  PartFile(std::filesystem::path destination, const std::string& ending,
           const std::function<void(std::uint64_t)>& waiting);
  /// Keeps the file unless it is empty.
  ~PartFile();
  PartFile(const PartFile&) = delete;
  PartFile& operator=(const PartFile&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::uint64_t size() const { return size_; }
  /// Whether another process or thread was writing it, in which case the destination may exist now.
  bool waited() const { return waited_; }

  /// Throws Error if it cannot be written, as on a full disk.
  void append(const void* bytes, std::size_t count);
  /// Discards the content.
  void clear();
  /// Syncs the file and renames it to the destination. REQUIRES: the last call.
  void commit();

 private:
  void open();

  std::filesystem::path destination_;
  std::filesystem::path path_;
  int descriptor_ = -1;
  std::uint64_t size_ = 0;
  bool waited_ = false;
};

}  // namespace lorikeet
