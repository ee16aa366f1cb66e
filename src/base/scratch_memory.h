// Memory backed by a file instead of swap, for data too large for memory. The file has no name, so it disappears
// however the process ends.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>

namespace lorikeet {

class ScratchMemory {
 public:
  /// Reserves the disk space in `folder` immediately. Throws Error if there is not enough or `folder` is not writable.
  ScratchMemory(const std::filesystem::path& folder, std::uint64_t bytes);
  ~ScratchMemory();
  ScratchMemory(const ScratchMemory&) = delete;
  ScratchMemory& operator=(const ScratchMemory&) = delete;

  std::byte* data() const { return data_; }

 private:
  std::byte* data_ = nullptr;
  std::uint64_t bytes_ = 0;
};

}  // namespace lorikeet
