// The preprocessing of an image as data: resize, centre crop, scale to [0, 1], normalise. It covers torchvision's
// ImageClassification preset, timm's evaluation transform and transformers' image processors.
#pragma once

#include <array>

#include "lorikeet/training_options.h"

namespace lorikeet {

enum class Interpolation { kBilinear, kBicubic };

struct Preprocessing {
  /// Length of the shorter side in pixels after the antialiased resize, or of both sides with `squash`; 0: no resize.
  int resize = 0;
  /// Height and width of the centre crop in pixels; 0: no crop.
  int crop = 0;
  Interpolation interpolation = Interpolation::kBilinear;
  std::array<double, 3> mean{0.485, 0.456, 0.406};
  std::array<double, 3> std{0.229, 0.224, 0.225};
  /// Resizes to a square, ignoring the aspect ratio: timm's crop_mode "squash" and transformers' ViTImageProcessor.
  bool squash = false;
  /// Rounds half of an odd crop margin down, as transformers does, instead of half to even, as torchvision does.
  bool crop_rounds_down = false;
  /// Channels in the order B, G, R: transformers' do_flip_channel_order. `mean` and `std` are in the network's order.
  bool bgr = false;
  /// Used when an image is decoded.
  Exif exif = Exif::kApply;

  bool operator==(const Preprocessing&) const = default;
};

}  // namespace lorikeet
