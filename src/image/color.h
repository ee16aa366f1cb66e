// Changes of colour, bit-identical to Pillow's ImageEnhance and ImageOps, which torchvision's transforms of PIL images
// call. Images are uint8 (3, H, W), interleaved as described in decode.h; results are new. All functions are
// thread-safe.
#pragma once

#include <ATen/core/Tensor.h>

namespace lorikeet {

/// ImageEnhance.Brightness, Contrast, Color and Sharpness: 1 changes nothing.
at::Tensor adjust_brightness(const at::Tensor& image, double factor);
at::Tensor adjust_contrast(const at::Tensor& image, double factor);
at::Tensor adjust_saturation(const at::Tensor& image, double factor);
at::Tensor adjust_sharpness(const at::Tensor& image, double factor);
/// torchvision's adjust_hue: turns the hue by `factor` of the circle, -0.5 to 0.5.
at::Tensor adjust_hue(const at::Tensor& image, double factor);
/// ImageOps.posterize: keeps the `bits` highest bits. REQUIRES: 0 ≤ bits ≤ 8.
at::Tensor posterize(const at::Tensor& image, int bits);
/// ImageOps.solarize: inverts samples of at least `threshold`.
at::Tensor solarize(const at::Tensor& image, double threshold);
/// ImageOps.autocontrast: stretches each channel to 0 … 255.
at::Tensor autocontrast(const at::Tensor& image);
/// ImageOps.equalize: equalises the histogram of each channel.
at::Tensor equalize(const at::Tensor& image);

}  // namespace lorikeet
