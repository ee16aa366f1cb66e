// Checked arithmetic and endian-aware reads for parsers of untrusted bytes.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <optional>

namespace lorikeet {

static_assert(std::endian::native == std::endian::little, "file formats are read in place as little-endian");

/// Returns a · b, or empty on 64-bit overflow.
inline std::optional<std::uint64_t> checked_mul(std::uint64_t a, std::uint64_t b) {
  std::uint64_t out = 0;
  if (__builtin_mul_overflow(a, b, &out)) return std::nullopt;
  return out;
}

/// Reads a little-endian T. REQUIRES: sizeof(T) readable bytes at `from`.
template <typename T>
T load_le(const void* from) {
  T out;
  std::memcpy(&out, from, sizeof(T));
  return out;
}

/// Reads a big-endian 32-bit number (IDX headers). REQUIRES: 4 readable bytes at `from`.
inline std::uint32_t load_be32(const void* from) { return __builtin_bswap32(load_le<std::uint32_t>(from)); }

}  // namespace lorikeet
