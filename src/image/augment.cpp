#include "image/augment.h"

#include <ATen/Functions.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <cmath>

#include "image/auto_augment.h"
#include "image/transform.h"

namespace lorikeet {
namespace {

// Shifts the image by (dy, dx), filling with black, and optionally mirrors it; (3, H, W) as described in decode.h.
at::Tensor moved(const at::Tensor& image, std::int64_t dy, std::int64_t dx, bool mirrored) {
  const at::Tensor input = image.permute({1, 2, 0}).contiguous();  // (H, W, 3)
  const std::int64_t height = input.size(0), width = input.size(1);
  at::Tensor out = at::zeros(input.sizes(), input.options());
  const std::uint8_t* from = input.const_data_ptr<std::uint8_t>();
  std::uint8_t* to = out.mutable_data_ptr<std::uint8_t>();
  const std::int64_t first = std::max<std::int64_t>(0, dx),
                     end = std::min(width, width + dx);  // columns of `out` before mirroring
  for (std::int64_t y = std::max<std::int64_t>(0, dy); y < std::min(height, height + dy); ++y) {
    for (std::int64_t x = first; x < end; ++x) {
      const std::uint8_t* pixel = from + ((y - dy) * width + x - dx) * 3;
      std::copy_n(pixel, 3, to + (y * width + (mirrored ? width - 1 - x : x)) * 3);
    }
  }
  return out.permute({2, 0, 1});
}

}  // namespace

Region draw_crop(std::int64_t height, std::int64_t width, const std::array<double, 2>& scale, Random& random) {
  TORCH_INTERNAL_ASSERT(height > 0 && width > 0 && scale[0] > 0 && scale[0] <= scale[1]);
  constexpr double kLeastRatio = 3.0 / 4, kGreatestRatio = 4.0 / 3;
  constexpr int kTries = 10;
  const auto uniform = [&](double from, double to) { return from + (to - from) * random.uniform(); };
  const auto rounded = [](double x) {
    return static_cast<std::int64_t>(std::nearbyint(x));
  };  // half to even, as in Python
  const auto h = static_cast<double>(height), w = static_cast<double>(width);
  for (int i = 0; i < kTries; ++i) {
    const double area = h * w * uniform(scale[0], scale[1]);
    const double ratio = std::exp(uniform(std::log(kLeastRatio), std::log(kGreatestRatio)));
    Region out{0, 0, rounded(std::sqrt(area / ratio)), rounded(std::sqrt(area * ratio))};
    if (out.height < 1 || out.width < 1 || out.height > height || out.width > width) continue;
    out.top = static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(height - out.height + 1)));
    out.left = static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(width - out.width + 1)));
    return out;
  }
  Region out{0, 0, height, width};  // the centre, with the nearest allowed aspect ratio
  if (w / h < kLeastRatio) out.height = rounded(w / kLeastRatio);
  if (w / h > kGreatestRatio) out.width = rounded(h * kGreatestRatio);
  out.top = (height - out.height) / 2;
  out.left = (width - out.width) / 2;
  return out;
}

at::Tensor resized_crop(const at::Tensor& image, const Region& region, int size, Interpolation interpolation) {
  const at::Tensor part = image.narrow(1, region.top, region.height).narrow(2, region.left, region.width);
  return resample(part, size, size, {0, 0, size, size}, interpolation);
}

Region draw_erased(std::int64_t height, std::int64_t width, Random& random) {
  constexpr double kLeastArea = 0.02, kGreatestArea = 0.33, kLeastRatio = 0.3, kGreatestRatio = 3.3;
  constexpr int kTries = 10;
  const auto uniform = [&](double from, double to) { return from + (to - from) * random.uniform(); };
  for (int i = 0; i < kTries; ++i) {
    const double area = static_cast<double>(height * width) * uniform(kLeastArea, kGreatestArea);
    const double ratio = std::exp(uniform(std::log(kLeastRatio), std::log(kGreatestRatio)));
    Region out{0, 0, std::llrint(std::sqrt(area * ratio)), std::llrint(std::sqrt(area / ratio))};
    if (out.height >= height || out.width >= width) continue;
    out.top = static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(height - out.height + 1)));
    out.left = static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(width - out.width + 1)));
    return out;
  }
  return {};
}

at::Tensor erased(const at::Tensor& image, const Region& region, const Preprocessing& preprocessing) {
  at::Tensor out = image.permute({1, 2, 0}).clone(at::MemoryFormat::Contiguous);
  std::array<std::uint8_t, 3> color{};
  for (std::size_t c = 0; c < 3; ++c) {
    const double mean = preprocessing.mean[preprocessing.bgr ? 2 - c : c];
    color[c] = static_cast<std::uint8_t>(std::clamp(std::round(mean * 255), 0.0, 255.0));
  }
  for (std::int64_t y = region.top; y < region.top + region.height; ++y) {
    std::uint8_t* to = out.mutable_data_ptr<std::uint8_t>() + (y * out.size(1) + region.left) * 3;
    for (std::int64_t x = 0; x < region.width; ++x) to = std::copy_n(color.begin(), 3, to);
  }
  return out.permute({2, 0, 1});
}

at::Tensor augment(const at::Tensor& image, const Preprocessing& preprocessing, const Augmentation& augmentation,
                   Random& random) {
  at::Tensor out;
  if (augmentation.resized_crop[1] > 0) {
    TORCH_INTERNAL_ASSERT(preprocessing.crop > 0);
    const Region region = draw_crop(image.size(1), image.size(2), augmentation.resized_crop, random);
    out = resized_crop(image, region, preprocessing.crop, preprocessing.interpolation);
  } else {
    out = prepare(image, preprocessing);
  }
  const int padding = augmentation.crop_padding;
  const auto draw_shift = [&] {
    return padding - static_cast<std::int64_t>(random.below(2 * static_cast<std::uint64_t>(padding) + 1));
  };
  const std::int64_t dy = padding > 0 ? draw_shift() : 0;
  const std::int64_t dx = padding > 0 ? draw_shift() : 0;
  const bool mirrored = augmentation.horizontal_flip > 0 && random.uniform() < augmentation.horizontal_flip;
  if (dy != 0 || dx != 0 || mirrored) out = moved(out, dy, dx, mirrored);
  const auto& [operations, magnitude] = augmentation.rand_augment;
  if (operations > 0) out = rand_augment(out, operations, magnitude, random);
  if (augmentation.trivial_augment_wide) out = trivial_augment_wide(out, random);
  if (augmentation.has_color_jitter()) out = color_jitter(out, augmentation.color_jitter, random);
  if (augmentation.random_erasing > 0 && random.uniform() < augmentation.random_erasing) {
    const Region region = draw_erased(out.size(1), out.size(2), random);
    if (region.height > 0 && region.width > 0) out = erased(out, region, preprocessing);
  }
  return out;
}

}  // namespace lorikeet
