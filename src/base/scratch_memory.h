// Memory backed by a file instead of swap, for data too large for memory. The file has no name, so it disappears
// however the process ends.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>

namespace lorikeet {

class ScratchMemory {
 public:
  /// Reserves the disk space in `folder` immediately. Throws Error if there is not enough or `folder` is not writable.
  ScratchMemory(const std::filesystem::path& folder, std::uint64_t bytes);
  ~ScratchMemory();
  ScratchMemory(const ScratchMemory&) = delete;
  ScratchMemory& operator=(const ScratchMemory&) = delete;

  /// Maps the file `path`, created with zeros if there is none; its content outlives the object, and all that map it
  /// share it. Throws Error likewise, or if it has another size.
  static std::unique_ptr<ScratchMemory> shared(const std::filesystem::path& path, std::uint64_t bytes);

  std::byte* data() const { return data_; }

 private:
  ScratchMemory() = default;
  // Closes `descriptor`.
  void map(int descriptor, const std::filesystem::path& folder);

  std::byte* data_ = nullptr;
  std::uint64_t bytes_ = 0;
};

}  // namespace lorikeet
