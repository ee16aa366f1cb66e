// Antialiased resizing, bit for bit as Pillow's `Image.resize` does it (libImaging/Resample.c): separable filters
// widened by the scale, horizontal pass first, weights in 22-bit fixed point, rounded to 8 bits after each pass. Pillow
// 13 began to take the vertical pass first where it makes tall images much lower; there its pixels differ from these,
// and from those of every older version: mostly by 1, by more where a bicubic's first pass leaves the range of a byte.
// ATen's uint8 `_upsample_*_aa` is faster, but its 16-bit weights are off by up to 2 grey levels.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "image/preprocessing.h"

namespace lorikeet {

struct Region {
  std::int64_t top = 0;
  std::int64_t left = 0;
  std::int64_t height = 0;
  std::int64_t width = 0;
};

/// The `region` of what `image` (uint8, (3, H, W)) becomes when resized to `height` x `width`; nothing outside is
/// computed. Interleaved as decode.h describes. REQUIRES: a region of at least one pixel that lies within the resized
/// image.
at::Tensor resample(const at::Tensor& image, std::int64_t height, std::int64_t width, const Region& region,
                    Interpolation interpolation);

}  // namespace lorikeet
