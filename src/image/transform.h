// Preprocesses decoded images like torchvision on PIL images: resize, centre crop, scale to [0, 1], normalise. The
// uint8 steps are bit-identical to torchvision (resample.h lists the Pillow versions). Images are interleaved as
// described in decode.h; other strides are accepted, and copied. All functions are thread-safe.
#pragma once

#include <ATen/core/Tensor.h>

#include "image/preprocessing.h"

namespace lorikeet {

/// torchvision's Resize(size, antialias=True): uint8 (3, H, W) to (3, h, w), the shorter side `size` and the longer
/// int(size · long / short). Throws Error if a very long image would exceed kMaxPixels. REQUIRES: size > 0.
at::Tensor resize_shorter_side(const at::Tensor& image, int size, Interpolation interpolation);

/// torchvision's CenterCrop(size): (3, H, W) to (3, size, size), with black borders for smaller images. Returns a view
/// unless borders are added. `rounds_down` is Preprocessing::crop_rounds_down. REQUIRES: size > 0.
at::Tensor center_crop(const at::Tensor& image, int size, bool rounds_down = false);

/// Resizes and crops as `preprocessing` specifies: uint8 (3, H, W) to (3, h, w). Only the cropped part is computed,
/// which also bounds the memory for any aspect ratio. The result never shares memory with a larger image.
at::Tensor prepare(const at::Tensor& image, const Preprocessing& preprocessing);

/// uint8 (N, 3, H, W) to float32 (N, 3, H, W), channels-last: (x / 255 - mean) / std, rounded as by torchvision, with
/// channels in the network's order. On the CPU, one pass over any strides. A batch on another device stays there.
at::Tensor normalise(const at::Tensor& batch, const Preprocessing& preprocessing);

}  // namespace lorikeet
