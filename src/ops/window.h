// Positions of the windows of convolutions and poolings.
#pragma once

#include <cstdint>
#include <string>

#include "ops/operation.h"

namespace lorikeet {

/// Zero padding on each side of an image.
struct Padding {
  std::int64_t top = 0, bottom = 0, left = 0, right = 0;

  bool none() const { return top == 0 && bottom == 0 && left == 0 && right == 0; }
  bool symmetric() const { return top == bottom && left == right; }
};

/// Total padding of TensorFlow's "SAME" along one axis:
/// max(0, (⌈size / stride⌉ − 1)·stride + (kernel − 1)·dilation + 1 − size).
std::int64_t same_padding(std::int64_t size, std::int64_t kernel, std::int64_t stride, std::int64_t dilation);

/// Number of kernel positions along an axis of `padded` pixels. REQUIRES: at least one.
std::int64_t window_count(std::int64_t padded, std::int64_t kernel, std::int64_t stride, std::int64_t dilation);

/// Kernel, stride and dilation along both axes, and the total padding of each axis.
struct Windows {
  Pair kernel;
  Pair stride;
  Pair dilation;
  Pair padding;
};

/// (C, H, W) → (channels, H', W'). Throws UsageError, naming the node `where`, if the image is smaller than the kernel.
Shape windowed_shape(const Shape& image, std::int64_t channels, const Windows& windows, const std::string& where);

}  // namespace lorikeet
