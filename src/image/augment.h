// Random augmentation of training images, equivalent to torchvision's transforms: RandomResizedCrop (instead of resize
// and centre crop), RandomCrop with padding, RandomHorizontalFlip, RandAugment, TrivialAugmentWide, ColorJitter
// (image/auto_augment.h), RandomErasing. With equal random numbers, the pixels equal torchvision's on PIL images.
// Random numbers come from base/random.h, so a seed produces the same images on every machine. All functions are
// thread-safe.
#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>

#include "base/random.h"
#include "image/preprocessing.h"
#include "image/resample.h"
#include "lorikeet/training_options.h"

namespace lorikeet {

/// RandomResizedCrop.get_params: draws the part to keep of an image of height × width pixels. REQUIRES: 0 < scale[0] ≤
/// scale[1].
Region draw_crop(std::int64_t height, std::int64_t width, const std::array<double, 2>& scale, Random& random);

/// torchvision's resized_crop(antialias=True): uint8 (3, H, W) to (3, size, size). REQUIRES: the region is inside the
/// image.
at::Tensor resized_crop(const at::Tensor& image, const Region& region, int size, Interpolation interpolation);

/// The region of RandomErasing(scale=(0.02, 0.33), ratio=(0.3, 3.3)); empty if ten tries find none.
Region draw_erased(std::int64_t height, std::int64_t width, Random& random);

/// A copy of `image` whose `region` has the mean colour of `preprocessing`: 0 after normalisation, within half a grey
/// level.
at::Tensor erased(const at::Tensor& image, const Region& region, const Preprocessing& preprocessing);

/// `prepare` with augmentation: uint8 (3, H, W) to the output size of `prepare`. REQUIRES: with
/// augmentation.resized_crop, `preprocessing` has a crop.
at::Tensor augment(const at::Tensor& image, const Preprocessing& preprocessing, const Augmentation& augmentation,
                   Random& random);

}  // namespace lorikeet
