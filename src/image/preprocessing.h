// What an image goes through before a network sees it, as data: resize, centre crop, scale to [0, 1], normalise.
// torchvision's ImageClassification preset, timm's evaluation transform and transformers' image processors are this.
#pragma once

#include <array>

namespace lorikeet {

enum class Interpolation { kBilinear, kBicubic };

struct Preprocessing {
  /// The shorter side in pixels after the resize, antialiased; with `squash` both sides. 0 leaves the size as it is.
  int resize = 0;
  /// Height and width of the centre crop in pixels; 0 crops nothing.
  int crop = 0;
  Interpolation interpolation = Interpolation::kBilinear;
  std::array<double, 3> mean{0.485, 0.456, 0.406};
  std::array<double, 3> std{0.229, 0.224, 0.225};
  /// Resizes to a square, whatever the proportions: timm's crop_mode "squash", and transformers' ViTImageProcessor.
  bool squash = false;
  /// A crop with an odd margin begins at the margin's half rounded down, as in transformers, not to the even side, as
  /// in torchvision.
  bool crop_rounds_down = false;
  /// The network reads B, G, R: transformers' do_flip_channel_order. `mean` and `std` are in the network's order.
  bool bgr = false;

  bool operator==(const Preprocessing&) const = default;
};

}  // namespace lorikeet
