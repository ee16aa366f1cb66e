// The IDX format of MNIST and similar datasets (yann.lecun.com/exdb/mnist), plain or gzipped:
//
//   file := 0 0 TYPE RANK  size{RANK} (u32, big-endian)  elements
//
// Only TYPE 8, unsigned bytes, is in use. The last dimension varies fastest.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

namespace lorikeet {

struct IdxArray {
  std::vector<std::int64_t> shape;
  std::vector<std::uint8_t> bytes;
};

/// Reads the array in `path`. Throws Error if it does not have `dimensions` dimensions, is larger than 1 GiB, truncated
/// or corrupt, or has trailing data.
IdxArray read_idx(const std::filesystem::path& path, int dimensions);

}  // namespace lorikeet
