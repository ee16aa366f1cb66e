// The loops of kernels/pointwise.h, for processors with AVX-512's products of bfloat16.
#pragma once

#include <cstdint>

#include "kernels/simd_epilogue.h"

namespace lorikeet {

/// Channels that are neighbours in packed pixels and weights.
inline constexpr std::int64_t kPointwiseLanes = 16;
/// Pixels whose sums stay in registers.
inline constexpr std::int64_t kPointwiseTile = 14;

/// Elements are bfloat16, as bits; sums are float32.
struct PointwiseProduct {
  std::int64_t in = 0;                     // a multiple of 16
  std::int64_t out = 0;                    // a multiple of 16
  const std::uint16_t* x = nullptr;        // (pixels, in)
  const std::uint8_t* x_mask = nullptr;    // which elements of x count (packed_mask()); null: all
  const std::uint16_t* weights = nullptr;  // pointwise_weights()
  std::uint16_t* y = nullptr;              // (pixels, out)
  SimdEpilogue<std::uint16_t> finish;
};

/// Some pixels, and some outputs in groups of 16.
struct PointwisePart {
  std::int64_t first_pixel;
  std::int64_t pixels;
  std::int64_t first_group;
  std::int64_t end_group;
};

/// Whether the processor has the instructions, and no faster ones that oneDNN uses (AMX).
bool has_pointwise();

/// `packed` holds the part's pixels with `in` elements each. REQUIRES: has_pointwise().
void multiply_pointwise(const PointwiseProduct& product, const PointwisePart& part, std::uint16_t* packed);

}  // namespace lorikeet
