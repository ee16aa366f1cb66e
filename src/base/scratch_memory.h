// Memory backed by a file instead of swap, for data that does not fit or would displace other programs. The file has
// no name, so that nothing is left of it, however the process ends.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>

namespace lorikeet {

class ScratchMemory {
 public:
  /// Reserves the space on the disk of `folder` at once. Throws Error if it is not there, or if `folder` cannot
  /// be written.
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
