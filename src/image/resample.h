// Antialiased resizing, bit-identical to Pillow's `Image.resize` (libImaging/Resample.c): separable filters widened by
// the scale, horizontal pass first, weights in 22-bit fixed point, rounded to 8 bits after each pass. Pillow 13 and
// later run the vertical pass first if it makes a tall image much lower. Their pixels then differ from these and from
// older versions: mostly by 1, and by more if a bicubic first pass leaves the byte range. ATen's uint8 `_upsample_*_aa`
// is faster, but its 16-bit weights cause errors of up to 2 grey levels.
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

/// Returns the `region` of `image` (uint8, (3, H, W)) resized to `height` x `width`. Computes nothing outside the
/// region. Interleaved as described in decode.h. REQUIRES: a non-empty region inside the resized image.
at::Tensor resample(const at::Tensor& image, std::int64_t height, std::int64_t width, const Region& region,
                    Interpolation interpolation);

}  // namespace lorikeet
