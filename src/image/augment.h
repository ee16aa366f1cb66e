// Random augmentation of training images as torchvision's transforms of these names do it: RandomResizedCrop (instead
// of the resize and the centre crop), then RandomCrop with padding, then RandomHorizontalFlip. For the same random
// numbers the pixels equal torchvision's on PIL images. The numbers come from base/random.h: the same seed gives the
// same images on every machine. All functions are thread-safe.
#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>

#include "base/random.h"
#include "image/preprocessing.h"
#include "image/resample.h"
#include "lorikeet/training_options.h"

namespace lorikeet {

/// RandomResizedCrop.get_params: which part of an image of height × width pixels is kept. REQUIRES: 0 < scale[0] ≤
/// scale[1].
Region draw_crop(std::int64_t height, std::int64_t width, const std::array<double, 2>& scale, Random& random);

/// torchvision's resized_crop(antialias=True): uint8 (3, H, W) to (3, size, size). REQUIRES: the region lies within the
/// image.
at::Tensor resized_crop(const at::Tensor& image, const Region& region, int size, Interpolation interpolation);

/// `prepare` with augmentation: uint8 (3, H, W) to the same size as `prepare` gives. REQUIRES: a crop in
/// `preprocessing` where augmentation.resized_crop is asked for.
at::Tensor augment(const at::Tensor& image, const Preprocessing& preprocessing, const Augmentation& augmentation,
                   Random& random);

}  // namespace lorikeet
