// A download on its way: the file NAME.part beside its destination, which outlives a failed try so that the next one
// can go on where it stopped. Invariant: whoever holds a PartFile holds its lock, so that two processes (or threads)
// that fetch the same file do not write into each other's.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>

namespace lorikeet {

class PartFile {
 public:
  /// Opens or makes `destination`.part, and the folders above it. While another one writes it, waits and calls
  /// `waiting` with the bytes that it has; `waiting` may throw to give up. Throws Error where the file cannot be made.
  PartFile(std::filesystem::path destination, const std::function<void(std::uint64_t)>& waiting);
  /// Leaves what has arrived; an empty file is removed.
  ~PartFile();
  PartFile(const PartFile&) = delete;
  PartFile& operator=(const PartFile&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::uint64_t size() const { return size_; }
  /// Whether another one was writing it: the destination may be there by now.
  bool waited() const { return waited_; }

  /// Throws Error where it cannot be written, as on a full disk.
  void append(const void* bytes, std::size_t count);
  /// Forgets what has arrived.
  void clear();
  /// Syncs it and renames it to the destination. REQUIRES: the last call.
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
