// What an image goes through before a network sees it, as data: torchvision's ImageClassification preset
// (resize the shorter side, centre crop, scale to [0, 1], normalise) and timm's evaluation transform are both this.
#pragma once

#include <array>

namespace lorikeet {

enum class Interpolation { kBilinear, kBicubic };

struct Preprocessing {
  /// The shorter side in pixels after the resize, antialiased; 0 leaves the size as it is.
  int resize = 0;
  /// Height and width of the centre crop in pixels; 0 crops nothing.
  int crop = 0;
  Interpolation interpolation = Interpolation::kBilinear;
  std::array<double, 3> mean{0.485, 0.456, 0.406};
  std::array<double, 3> std{0.229, 0.224, 0.225};

  bool operator==(const Preprocessing&) const = default;
};

}  // namespace lorikeet
