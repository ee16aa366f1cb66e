// The IDX format of MNIST and its relatives (yann.lecun.com/exdb/mnist), plain or gzipped:
//
//   file := 0 0 TYPE RANK  size{RANK} (u32, big-endian)  elements
//
// TYPE 8, unsigned bytes, is the only one in use. The last dimension varies fastest.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

namespace lorikeet {

struct IdxArray {
  std::vector<std::int64_t> shape;
  std::vector<std::uint8_t> bytes;
};

/// The array of `path`. Throws Error if it has not `dimensions` dimensions, is larger than 1 GiB, truncated or
/// corrupt, or is followed by anything.
IdxArray read_idx(const std::filesystem::path& path, int dimensions);

}  // namespace lorikeet
