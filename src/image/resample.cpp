#include "image/resample.h"

#include <ATen/Functions.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <cmath>
#include <vector>

// 32-bit vector multiplications, which baseline x86-64 lacks, halve the time for images of several megapixels. glibc
// selects the clone while it loads the program, before sanitizers are initialised. The results are equal.
#if defined(__x86_64__) && defined(__GLIBC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__) && \
    !defined(__SANITIZE_THREAD__)
#define LORIKEET_CLONES __attribute__((target_clones("avx2", "default")))
#else
#define LORIKEET_CLONES
#endif

namespace lorikeet {
namespace {

constexpr int kPrecision = 32 - 8 - 2;
constexpr std::int32_t kHalf = 1 << (kPrecision - 1);

double triangle(double x) { return std::max(0.0, 1.0 - std::abs(x)); }

double cubic(double x) {
  constexpr double a = -0.5;
  x = std::abs(x);
  if (x < 1.0) return ((a + 2.0) * x - (a + 3.0)) * x * x + 1;
  if (x < 2.0) return (((x - 5) * x + 8) * x - 4) * a;
  return 0.0;
}

// For each output position, the inputs [first, first + count) and their weights, starting at index · taps.
struct Axis {
  std::int64_t taps;
  std::vector<std::int64_t> first;
  std::vector<std::int64_t> count;
  std::vector<std::int32_t> weight;
};

// Positions [begin, begin + length) of `in` pixels resized to `out`. Arithmetic and order follow Pillow's
// precompute_coeffs.
Axis make_axis(std::int64_t in, std::int64_t out, std::int64_t begin, std::int64_t length,
               Interpolation interpolation) {
  const bool bicubic = interpolation == Interpolation::kBicubic;
  const double scale = static_cast<double>(in) / static_cast<double>(out);
  const double widening = std::max(scale, 1.0);
  const double support = (bicubic ? 2.0 : 1.0) * widening;
  Axis axis{static_cast<std::int64_t>(std::ceil(support)) * 2 + 1, {}, {}, {}};
  axis.weight.resize(static_cast<std::size_t>(length * axis.taps));
  std::vector<double> weights(static_cast<std::size_t>(axis.taps));
  for (std::int64_t i = 0; i < length; ++i) {
    const double centre = (static_cast<double>(begin + i) + 0.5) * scale;
    const std::int64_t first = std::max<std::int64_t>(static_cast<std::int64_t>(centre - support + 0.5), 0);
    const std::int64_t count = std::min(static_cast<std::int64_t>(centre + support + 0.5), in) - first;
    double sum = 0.0;
    for (std::int64_t t = 0; t < count; ++t) {
      const double x = (static_cast<double>(t + first) - centre + 0.5) * (1.0 / widening);
      sum += weights[t] = bicubic ? cubic(x) : triangle(x);
    }
    for (std::int64_t t = 0; t < count; ++t) {
      const double w = (sum != 0.0 ? weights[t] / sum : weights[t]) * (1 << kPrecision);
      axis.weight[i * axis.taps + t] = static_cast<std::int32_t>(w + (w < 0 ? -0.5 : 0.5));
    }
    axis.first.push_back(first);
    axis.count.push_back(count);
  }
  return axis;
}

std::uint8_t to_byte(std::int32_t sum) { return static_cast<std::uint8_t>(std::clamp(sum >> kPrecision, 0, 255)); }

// Resamples a row: `from` is the complete input row; `to` receives one pixel per position of the axis.
LORIKEET_CLONES void resample_row(const Axis& axis, const std::uint8_t* from, std::uint8_t* to) {
  const std::size_t length = axis.first.size();
  for (std::size_t i = 0; i < length; ++i) {
    const std::uint8_t* pixel = from + 3 * axis.first[i];
    const std::int32_t* weight = &axis.weight[i * axis.taps];
    std::int32_t r = kHalf, g = kHalf, b = kHalf;
    for (std::int64_t t = 0; t < axis.count[i]; ++t, pixel += 3) {
      r += pixel[0] * weight[t];
      g += pixel[1] * weight[t];
      b += pixel[2] * weight[t];
    }
    *to++ = to_byte(r);
    *to++ = to_byte(g);
    *to++ = to_byte(b);
  }
}

// sums[i] += from[i] · weight
LORIKEET_CLONES void add_weighted(std::int32_t* __restrict sums, const std::uint8_t* __restrict from,
                                  std::int32_t weight, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) sums[i] += from[i] * weight;
}

LORIKEET_CLONES void store_bytes(std::uint8_t* __restrict to, const std::int32_t* __restrict sums, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) to[i] = to_byte(sums[i]);
}

}  // namespace

at::Tensor resample(const at::Tensor& image, std::int64_t height, std::int64_t width, const Region& region,
                    Interpolation interpolation) {
  TORCH_INTERNAL_ASSERT(image.dim() == 3 && image.size(0) == 3 && image.scalar_type() == at::kByte &&
                        image.numel() > 0);
  TORCH_INTERNAL_ASSERT(region.height > 0 && region.width > 0 && region.top >= 0 && region.left >= 0 &&
                        region.top + region.height <= height && region.left + region.width <= width);
  const at::Tensor input = image.permute({1, 2, 0}).contiguous();  // (H, W, 3)
  const Axis vertical = make_axis(input.size(0), height, region.top, region.height, interpolation);
  // As in Pillow, a pass that changes nothing is skipped.
  const bool keeps_height = input.size(0) == height;
  const std::int64_t first_row = keeps_height ? region.top : vertical.first.front();
  const std::int64_t rows = keeps_height ? region.height : vertical.first.back() + vertical.count.back() - first_row;

  at::Tensor wide = input.narrow(0, first_row, rows);
  if (input.size(1) != width) {
    const Axis horizontal = make_axis(input.size(1), width, region.left, region.width, interpolation);
    at::Tensor narrow = at::empty({rows, region.width, 3}, input.options());
    const std::uint8_t* from = wide.const_data_ptr<std::uint8_t>();
    std::uint8_t* to = narrow.mutable_data_ptr<std::uint8_t>();
    for (std::int64_t y = 0; y < rows; ++y)
      resample_row(horizontal, from + y * input.size(1) * 3, to + y * region.width * 3);
    wide = narrow;
  } else {
    wide = wide.narrow(1, region.left, region.width).contiguous();
  }
  if (keeps_height) return wide.permute({2, 0, 1});

  at::Tensor out = at::empty({region.height, region.width, 3}, input.options());
  const auto row_bytes = static_cast<std::size_t>(region.width * 3);
  std::vector<std::int32_t> sums(row_bytes);
  const std::uint8_t* from = wide.const_data_ptr<std::uint8_t>();
  std::uint8_t* to = out.mutable_data_ptr<std::uint8_t>();
  for (std::int64_t y = 0; y < region.height; ++y) {
    std::fill(sums.begin(), sums.end(), kHalf);
    for (std::int64_t t = 0; t < vertical.count[y]; ++t) {
      add_weighted(sums.data(), from + static_cast<std::size_t>(vertical.first[y] - first_row + t) * row_bytes,
                   vertical.weight[y * vertical.taps + t], row_bytes);
    }
    store_bytes(to + static_cast<std::size_t>(y) * row_bytes, sums.data(), row_bytes);
  }
  return out.permute({2, 0, 1});
}

}  // namespace lorikeet
