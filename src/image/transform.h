// From a decoded image to what a network reads, as torchvision does it on PIL images: resize, centre crop, scale to
// [0, 1], normalise. The uint8 steps equal torchvision's bit for bit (resample.h says with which
// Pillow). Images are interleaved as decode.h describes; other strides are accepted, and copied. All functions are
// thread-safe.
#pragma once

#include <ATen/core/Tensor.h>

#include "image/preprocessing.h"

namespace lorikeet {

/// torchvision's Resize(size, antialias=True): uint8 (3, H, W) to (3, h, w), the shorter side `size` and the longer
/// int(size · long / short). Throws Error if a very long image would become larger than kMaxPixels. REQUIRES: size >
/// 0.
at::Tensor resize_shorter_side(const at::Tensor& image, int size, Interpolation interpolation);

/// torchvision's CenterCrop(size): (3, H, W) to (3, size, size), black around an image that is smaller. A view where
/// nothing is added. `rounds_down` as Preprocessing::crop_rounds_down. REQUIRES: size > 0.
at::Tensor center_crop(const at::Tensor& image, int size, bool rounds_down = false);

/// The resize and the crop that `preprocessing` asks for, in one go: only what the crop keeps is computed, which also
/// bounds the memory for images of any proportions. uint8 (3, H, W) to (3, h, w). The result never shares memory with a
/// larger image.
at::Tensor prepare(const at::Tensor& image, const Preprocessing& preprocessing);

/// uint8 (N, 3, H, W) to float32 (N, 3, H, W), channels last: (x / 255 - mean) / std, with torchvision's roundings;
/// the channels in the order that the network reads. On the CPU one pass over any strides; a batch on another device
/// stays there.
at::Tensor normalise(const at::Tensor& batch, const Preprocessing& preprocessing);

}  // namespace lorikeet
