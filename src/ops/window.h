// Where the windows of a convolution or a pooling lie in an image.
#pragma once

#include <cstdint>
#include <string>

#include "ops/operation.h"

namespace lorikeet {

/// Zeros around an image, on each side.
struct Padding {
  std::int64_t top = 0, bottom = 0, left = 0, right = 0;

  bool none() const { return top == 0 && bottom == 0 && left == 0 && right == 0; }
  bool symmetric() const { return top == bottom && left == right; }
};

/// What TensorFlow's "SAME" adds to one axis, both sides together:
/// max(0, (⌈size / stride⌉ − 1)·stride + (kernel − 1)·dilation + 1 − size).
std::int64_t same_padding(std::int64_t size, std::int64_t kernel, std::int64_t stride, std::int64_t dilation);

/// The number of positions of a kernel along an axis of `padded` pixels. REQUIRES: one or more.
std::int64_t window_count(std::int64_t padded, std::int64_t kernel, std::int64_t stride, std::int64_t dilation);

/// Kernel, stride, dilation along both axes, and the padding of each axis, both sides together.
struct Windows {
  Pair kernel;
  Pair stride;
  Pair dilation;
  Pair padding;
};

/// (C, H, W) → (channels, H', W'). Throws UsageError, naming the node `where`, for an image smaller than the kernel.
Shape windowed_shape(const Shape& image, std::int64_t channels, const Windows& windows, const std::string& where);

}  // namespace lorikeet
