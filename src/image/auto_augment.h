// The operations of torchvision's RandAugment (Cubuk et al., 2019, arXiv:1909.13719) and TrivialAugmentWide (Müller and
// Hutter, 2021, arXiv:2103.10158) on PIL images, with their defaults: 31 magnitudes, nearest-neighbour interpolation,
// black outside the image. With equal operations and magnitudes, the pixels equal torchvision's. All functions are
// thread-safe.
#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>

#include "base/random.h"

namespace lorikeet {

/// In torchvision's order.
enum class AugmentOperation {
  kIdentity,
  kShearX,
  kShearY,
  kTranslateX,
  kTranslateY,
  kRotate,
  kBrightness,
  kColor,
  kContrast,
  kSharpness,
  kPosterize,
  kSolarize,
  kAutoContrast,
  kEqualize
};
constexpr int kAugmentOperations = 14;
constexpr int kAugmentMagnitudes = 31;

/// Applies an operation to uint8 (3, H, W). `magnitude` is in torchvision's unit: the shear, pixels, degrees, the
/// change of a factor, bits, or the threshold's share of 255; ignored where the operation has none.
at::Tensor apply_operation(const at::Tensor& image, AugmentOperation operation, double magnitude);

/// The magnitude with this index, without its random sign. RandAugment's depends on the image's size. 0 where an
/// operation has none. REQUIRES: 0 ≤ index < kAugmentMagnitudes.
double rand_augment_magnitude(AugmentOperation operation, int index, std::int64_t height, std::int64_t width);
double trivial_augment_magnitude(AugmentOperation operation, int index);

/// RandAugment(num_ops, magnitude).
at::Tensor rand_augment(at::Tensor image, int operations, int magnitude, Random& random);
/// TrivialAugmentWide().
at::Tensor trivial_augment_wide(const at::Tensor& image, Random& random);

/// ColorJitter(brightness, contrast, saturation, hue): changes in a random order. REQUIRES: 0 ≤ values, hue ≤ 0.5.
at::Tensor color_jitter(at::Tensor image, const std::array<double, 4>& strength, Random& random);

}  // namespace lorikeet
