#include "image/mix.h"

#include <ATen/Functions.h>

#include <algorithm>
#include <cmath>

namespace lorikeet {

// Jöhnk's method (1964), in logarithms: small exponents would give numbers that underflow.
double draw_beta(double alpha, Random& random) {
  for (;;) {
    const double x = std::log(1 - random.uniform()) / alpha, y = std::log(1 - random.uniform()) / alpha;
    const double largest = std::max(x, y);
    const double log_sum = largest + std::log(std::exp(x - largest) + std::exp(y - largest));
    if (log_sum <= 0) return std::exp(x - log_sum);
  }
}

Mixing cut_at(double own, std::int64_t x, std::int64_t y, std::int64_t height, std::int64_t width) {
  const double half = 0.5 * std::sqrt(1.0 - own);
  const auto half_width = static_cast<std::int64_t>(half * static_cast<double>(width));
  const auto half_height = static_cast<std::int64_t>(half * static_cast<double>(height));
  Mixing out{.own = 1, .cuts = true, .box = {}};
  out.box.left = std::max<std::int64_t>(x - half_width, 0);
  out.box.top = std::max<std::int64_t>(y - half_height, 0);
  out.box.width = std::min(x + half_width, width) - out.box.left;
  out.box.height = std::min(y + half_height, height) - out.box.top;
  out.own = 1.0 - static_cast<double>(out.box.width * out.box.height) / static_cast<double>(width * height);
  return out;
}

Mixing draw_mixing(const Augmentation& augmentation, std::int64_t height, std::int64_t width, Random& random) {
  const bool has_both = augmentation.mixup_alpha > 0 && augmentation.cutmix_alpha > 0;
  const bool cuts = has_both ? random.below(2) == 1 : augmentation.cutmix_alpha > 0;
  const double own = draw_beta(cuts ? augmentation.cutmix_alpha : augmentation.mixup_alpha, random);
  if (!cuts) return {.own = own};
  const auto x = static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(width)));
  const auto y = static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(height)));
  return cut_at(own, x, y, height, width);
}

at::Tensor mixed_images(const at::Tensor& images, const Mixing& mixing) {
  const at::Tensor others = at::roll(images, 1, 0);
  if (!mixing.cuts) {
    const at::Tensor out = others.mul(1.0 - mixing.own).add_(images.mul(mixing.own));
    return out.contiguous(images.suggest_memory_format());
  }
  at::Tensor out = images.clone();
  const Region& box = mixing.box;
  const auto part = [&](const at::Tensor& of) {
    return of.narrow(2, box.top, box.height).narrow(3, box.left, box.width);
  };
  part(out).copy_(part(others));
  return out;
}

at::Tensor mixed_labels(const at::Tensor& labels, std::int64_t classes, const Mixing& mixing) {
  const at::Tensor own = at::one_hot(labels, classes).to(at::kFloat);
  return at::roll(own, 1, 0).mul_(1.0 - mixing.own).add_(own.mul(mixing.own));
}

at::Tensor leading_labels(const at::Tensor& labels, const Mixing& mixing) {
  return mixing.own >= 0.5 ? labels : at::roll(labels, 1, 0);
}

}  // namespace lorikeet
