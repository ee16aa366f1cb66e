// The loops of kernels/depthwise.h, compiled for several instruction sets. Highway chooses the best one that the
// processor has; all give the same bits, except the fallback, which has no fused multiply-add.
#pragma once

#include <cstdint>

#include "kernels/simd_epilogue.h"

namespace lorikeet {

/// A convolution of each channel by its own filter: x (images, height, width, channels) → y (images, out_height,
/// out_width, channels).
struct DepthwiseShape {
  std::int64_t images, channels;
  std::int64_t height, width;
  std::int64_t out_height, out_width;
  std::int64_t kernel;     // 3, 5 or 7, per side
  std::int64_t stride;     // 1 or 2, along both sides
  std::int64_t top, left;  // padding; what follows from it at the other sides may be negative
};

/// Pixels are float32, or bfloat16 with sums in float32.
struct DepthwisePixels {
  const void* from;
  void* to;
  bool is_bfloat16;
};

/// Rows of all images: [begin, end).
struct DepthwiseRows {
  std::int64_t begin, end;
};

/// Whether the processor has AVX2 with FMA, or AVX-512.
bool has_depthwise();

/// The multiple of which there must be as many channels, and the least number of them.
constexpr std::int64_t kDepthwiseStep = 8;
constexpr std::int64_t kDepthwiseLeast = 16;

/// Computes some rows of y. `weights` are (kernel, kernel, channels).
void convolve_depthwise(const DepthwiseShape& shape, const DepthwisePixels& pixels, const float* weights,
                        const SimdEpilogue<void>& finish, const DepthwiseRows& rows);

/// Computes some rows of the gradient to x from that to y, which counts where `mask` has a bit, or everywhere without
/// one.
void gradient_depthwise(const DepthwiseShape& shape, const DepthwisePixels& pixels, const float* weights,
                        const std::uint8_t* mask, const DepthwiseRows& rows);

}  // namespace lorikeet
