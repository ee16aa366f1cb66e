// What chance does to a training image, as torchvision's transforms of these names do it: RandomResizedCrop (in place
// of the resize and the centre crop), then RandomCrop with padding, then RandomHorizontalFlip. Given the same draws,
// pixels equal torchvision's on PIL images. The draws are ours (base/random.h): the same seed gives the same images
// everywhere. All functions are thread-safe.
#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>

#include "base/random.h"
#include "image/preprocessing.h"
#include "image/resample.h"

namespace lorikeet {

struct Augmentation {
  /// RandomResizedCrop's `scale`: least and greatest share of the image's area, proportions from 3/4 to 4/3; 0 and 0:
  /// none.
  std::array<double, 2> resized_crop{0, 0};
  /// RandomCrop's `padding` in pixels; black.
  int crop_padding = 0;
  /// RandomHorizontalFlip's `p`.
  double horizontal_flip = 0;

  /// Whether it leaves anything to chance.
  bool any() const { return resized_crop[1] > 0 || crop_padding > 0 || horizontal_flip > 0; }
  bool operator==(const Augmentation&) const = default;
};

/// RandomResizedCrop.get_params: which part of an image of height × width pixels is kept. REQUIRES: 0 < scale[0] ≤
/// scale[1].
Region draw_crop(std::int64_t height, std::int64_t width, const std::array<double, 2>& scale, Random& random);

/// torchvision's resized_crop(antialias=True): uint8 (3, H, W) to (3, size, size). REQUIRES: the region lies within the
/// image.
at::Tensor resized_crop(const at::Tensor& image, const Region& region, int size, Interpolation interpolation);

/// What `prepare` does, and chance: uint8 (3, H, W) to the same size as `prepare` gives. REQUIRES: a crop in
/// `preprocessing` where augmentation.resized_crop is asked for.
at::Tensor augment(const at::Tensor& image, const Preprocessing& preprocessing, const Augmentation& augmentation,
                   Random& random);

}  // namespace lorikeet
