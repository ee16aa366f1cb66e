#include "image/auto_augment.h"

#include <ATen/Functions.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

#include "image/color.h"

namespace lorikeet {
namespace {

using Matrix = std::array<double, 6>;  // from positions of the result to those of the image: x' = a x + b y + c …

std::int64_t fixed_point(double value) { return static_cast<std::int64_t>(std::floor(value * 65536.0 + 0.5)); }

// Image.transform(size, AFFINE, matrix, NEAREST) in 16.16 fixed point (Geometry.c, affine_fixed). Without a rotation
// or a shear, Pillow uses floating point; translations by whole pixels give the same there.
at::Tensor transformed(const at::Tensor& image, const Matrix& m) {
  const at::Tensor rows = image.permute({1, 2, 0}).contiguous();
  at::Tensor out = at::zeros_like(rows);
  const std::int64_t height = rows.size(0), width = rows.size(1);
  const std::uint8_t* from = rows.const_data_ptr<std::uint8_t>();
  std::uint8_t* to = out.mutable_data_ptr<std::uint8_t>();
  const std::int64_t a = fixed_point(m[0]), b = fixed_point(m[1]), d = fixed_point(m[3]), e = fixed_point(m[4]);
  std::int64_t x_start = fixed_point(m[2] + m[0] * 0.5 + m[1] * 0.5);
  std::int64_t y_start = fixed_point(m[5] + m[3] * 0.5 + m[4] * 0.5);
  for (std::int64_t y = 0; y < height; ++y, x_start += b, y_start += e) {
    std::int64_t x_at = x_start, y_at = y_start;
    for (std::int64_t x = 0; x < width; ++x, to += 3, x_at += a, y_at += d) {
      const std::int64_t x_in = x_at >> 16, y_in = y_at >> 16;
      if (x_in >= 0 && x_in < width && y_in >= 0 && y_in < height) std::copy_n(from + 3 * (y_in * width + x_in), 3, to);
    }
  }
  return out.permute({2, 0, 1});
}

double radians(double degrees) { return degrees * (std::numbers::pi / 180.0); }

at::Tensor sheared(const at::Tensor& image, double magnitude, bool along_x) {
  const double angle = radians(std::atan(magnitude) * (180.0 / std::numbers::pi));  // as torchvision computes it
  if (along_x) return transformed(image, {1, std::tan(angle), 0, 0, 1, 0});
  return transformed(image, {1, 0, 0, std::sin(angle) / std::cos(angle), 1, 0});
}

// Image.rotate, counterclockwise about the centre.
at::Tensor rotated(const at::Tensor& image, double degrees) {
  const double whole = std::fmod(std::fmod(degrees, 360.0) + 360.0, 360.0);
  if (whole == 0) return image.clone();
  const double angle = -radians(whole);
  const auto rounded = [](double value) { return std::round(value * 1e15) / 1e15; };
  const double cosine = rounded(std::cos(angle)), sine = rounded(std::sin(angle));
  const double x = static_cast<double>(image.size(2)) / 2, y = static_cast<double>(image.size(1)) / 2;
  return transformed(image, {cosine, sine, cosine * -x + sine * -y + x, -sine, cosine, -sine * -x + cosine * -y + y});
}

// torch.linspace(from, to, 31)[index], in float32.
double linear(double from, double to, int index) {
  const auto first = static_cast<float>(from), last = static_cast<float>(to);
  const float step = (last - first) / static_cast<float>(kAugmentMagnitudes - 1);
  return index < kAugmentMagnitudes / 2 ? first + step * static_cast<float>(index)
                                        : last - step * static_cast<float>(kAugmentMagnitudes - 1 - index);
}

struct AugmentSpace {
  double shear, translate_x, translate_y, rotate, factor, bits;
};

double magnitude_of(AugmentOperation operation, const AugmentSpace& space, int index) {
  switch (operation) {
    case AugmentOperation::kShearX:
    case AugmentOperation::kShearY: return linear(0, space.shear, index);
    case AugmentOperation::kTranslateX: return linear(0, space.translate_x, index);
    case AugmentOperation::kTranslateY: return linear(0, space.translate_y, index);
    case AugmentOperation::kRotate: return linear(0, space.rotate, index);
    case AugmentOperation::kBrightness:
    case AugmentOperation::kColor:
    case AugmentOperation::kContrast:
    case AugmentOperation::kSharpness: return linear(0, space.factor, index);
    case AugmentOperation::kPosterize:
      return std::nearbyint(8 - static_cast<float>(index) / static_cast<float>((kAugmentMagnitudes - 1) / space.bits));
    case AugmentOperation::kSolarize: return linear(1, 0, index);
    case AugmentOperation::kIdentity:
    case AugmentOperation::kAutoContrast:
    case AugmentOperation::kEqualize: return 0;
  }
  return 0;
}

bool has_sign(AugmentOperation operation) {
  return operation >= AugmentOperation::kShearX && operation <= AugmentOperation::kSharpness;
}

double with_sign(AugmentOperation operation, double magnitude, Random& random) {
  return has_sign(operation) && random.uniform() <= 0.5 ? -magnitude : magnitude;
}

AugmentOperation draw_operation(Random& random) {
  return static_cast<AugmentOperation>(random.below(kAugmentOperations));
}

}  // namespace

at::Tensor apply_operation(const at::Tensor& image, AugmentOperation operation, double magnitude) {
  switch (operation) {
    case AugmentOperation::kIdentity: break;
    case AugmentOperation::kShearX: return sheared(image, magnitude, true);
    case AugmentOperation::kShearY: return sheared(image, magnitude, false);
    case AugmentOperation::kTranslateX: return transformed(image, {1, 0, -std::trunc(magnitude), 0, 1, 0});
    case AugmentOperation::kTranslateY: return transformed(image, {1, 0, 0, 0, 1, -std::trunc(magnitude)});
    case AugmentOperation::kRotate: return rotated(image, magnitude);
    case AugmentOperation::kBrightness: return adjust_brightness(image, 1 + magnitude);
    case AugmentOperation::kColor: return adjust_saturation(image, 1 + magnitude);
    case AugmentOperation::kContrast: return adjust_contrast(image, 1 + magnitude);
    case AugmentOperation::kSharpness: return adjust_sharpness(image, 1 + magnitude);
    case AugmentOperation::kPosterize: return posterize(image, static_cast<int>(magnitude));
    case AugmentOperation::kSolarize: return solarize(image, 255 * magnitude);
    case AugmentOperation::kAutoContrast: return autocontrast(image);
    case AugmentOperation::kEqualize: return equalize(image);
  }
  return image;
}

double rand_augment_magnitude(AugmentOperation operation, int index, std::int64_t height, std::int64_t width) {
  return magnitude_of(operation,
                      {.shear = 0.3,
                       .translate_x = 150.0 / 331.0 * static_cast<double>(width),
                       .translate_y = 150.0 / 331.0 * static_cast<double>(height),
                       .rotate = 30,
                       .factor = 0.9,
                       .bits = 4},
                      index);
}

double trivial_augment_magnitude(AugmentOperation operation, int index) {
  return magnitude_of(operation,
                      {.shear = 0.99, .translate_x = 32, .translate_y = 32, .rotate = 135, .factor = 0.99, .bits = 6},
                      index);
}

at::Tensor rand_augment(at::Tensor image, int operations, int magnitude, Random& random) {
  for (int i = 0; i < operations; ++i) {
    const AugmentOperation operation = draw_operation(random);
    const double value = rand_augment_magnitude(operation, magnitude, image.size(1), image.size(2));
    image = apply_operation(image, operation, with_sign(operation, value, random));
  }
  return image;
}

at::Tensor trivial_augment_wide(const at::Tensor& image, Random& random) {
  const AugmentOperation operation = draw_operation(random);
  const auto index = static_cast<int>(random.below(kAugmentMagnitudes));
  return apply_operation(image, operation, with_sign(operation, trivial_augment_magnitude(operation, index), random));
}

at::Tensor color_jitter(at::Tensor image, const std::array<double, 4>& strength, Random& random) {
  std::vector<std::size_t> order{0, 1, 2, 3};
  random.shuffle(order);
  std::array<double, 4> values{};
  for (std::size_t i = 0; i < 4; ++i) {
    const double centre = i == 3 ? 0 : 1;
    const double least = i == 3 ? -strength[i] : std::max(0.0, centre - strength[i]);
    values[i] = least + (centre + strength[i] - least) * random.uniform();
  }
  for (const std::size_t i : order) {
    if (strength[i] == 0) continue;
    if (i == 0) image = adjust_brightness(image, values[i]);
    if (i == 1) image = adjust_contrast(image, values[i]);
    if (i == 2) image = adjust_saturation(image, values[i]);
    if (i == 3) image = adjust_hue(image, values[i]);
  }
  return image;
}

}  // namespace lorikeet
