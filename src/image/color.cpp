#include "image/color.h"

#include <ATen/Functions.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <vector>

namespace lorikeet {
namespace {

using ColorTable = std::array<std::uint8_t, 256>;
using ColorTables = std::array<ColorTable, 3>;
using Histogram = std::array<std::int64_t, 256>;

// (H, W, 3), contiguous.
at::Tensor rows_of(const at::Tensor& image) { return image.permute({1, 2, 0}).contiguous(); }

std::uint8_t clipped_byte(int value) { return static_cast<std::uint8_t>(std::clamp(value, 0, 255)); }

// Pillow's ImagingBlend (Blend.c) of two samples, in float and truncated.
std::uint8_t blended(int from, int to, float alpha) {
  const float value = static_cast<float>(from) + alpha * static_cast<float>(to - from);
  if (alpha >= 0 && alpha <= 1) return static_cast<std::uint8_t>(value);
  if (value <= 0) return 0;
  if (value >= 255) return 255;
  return static_cast<std::uint8_t>(value);
}

// Pillow's conversion of RGB to L (Convert.c).
int luma(const std::uint8_t* pixel) { return (pixel[0] * 19595 + pixel[1] * 38470 + pixel[2] * 7471 + 0x8000) >> 16; }

// Calls `make(from, to)` for each pixel.
template <typename Make>
at::Tensor each_pixel(const at::Tensor& image, Make make) {
  const at::Tensor rows = rows_of(image);
  at::Tensor out = at::empty_like(rows);
  const std::uint8_t* from = rows.const_data_ptr<std::uint8_t>();
  std::uint8_t* to = out.mutable_data_ptr<std::uint8_t>();
  for (const std::uint8_t* const end = from + rows.numel(); from != end; from += 3, to += 3) make(from, to);
  return out.permute({2, 0, 1});
}

at::Tensor mapped(const at::Tensor& image, const ColorTables& tables) {
  return each_pixel(image, [&](const std::uint8_t* from, std::uint8_t* to) {
    for (std::size_t c = 0; c < 3; ++c) to[c] = tables[c][from[c]];
  });
}

template <typename Make>
at::Tensor mapped_alike(const at::Tensor& image, Make make) {
  ColorTable table{};
  for (int i = 0; i < 256; ++i) table[static_cast<std::size_t>(i)] = make(i);
  return mapped(image, {table, table, table});
}

std::array<Histogram, 3> histograms(const at::Tensor& image) {
  std::array<Histogram, 3> out{};
  const at::Tensor rows = rows_of(image);
  const std::uint8_t* at = rows.const_data_ptr<std::uint8_t>();
  for (const std::uint8_t* const end = at + rows.numel(); at != end; at += 3) {
    for (std::size_t c = 0; c < 3; ++c) ++out[c][at[c]];
  }
  return out;
}

// Convert.c, rgb2hsv_row, after Python's colorsys.
std::array<std::uint8_t, 3> hsv_of(const std::uint8_t* pixel) {
  const int r = pixel[0], g = pixel[1], b = pixel[2];
  const int most = std::max({r, g, b}), least = std::min({r, g, b});
  if (least == most) return {0, 0, static_cast<std::uint8_t>(most)};
  const auto range = static_cast<float>(most - least);
  const float saturation = range / static_cast<float>(most);
  const float rc = static_cast<float>(most - r) / range, gc = static_cast<float>(most - g) / range,
              bc = static_cast<float>(most - b) / range;
  float hue = 0;
  if (r == most) {
    hue = bc - gc;
  } else if (g == most) {
    hue = static_cast<float>(2.0 + static_cast<double>(rc) - static_cast<double>(bc));
  } else {
    hue = static_cast<float>(4.0 + static_cast<double>(gc) - static_cast<double>(rc));
  }
  hue = static_cast<float>(std::fmod(static_cast<double>(hue) / 6.0 + 1.0, 1.0));
  return {clipped_byte(static_cast<int>(static_cast<double>(hue) * 255.0)),
          clipped_byte(static_cast<int>(static_cast<double>(saturation) * 255.0)), static_cast<std::uint8_t>(most)};
}

// Convert.c, hsv2rgb.
void put_rgb(std::uint8_t hue, std::uint8_t saturation, std::uint8_t value, std::uint8_t* to) {
  if (saturation == 0) {
    std::fill_n(to, 3, value);
    return;
  }
  const double turned = static_cast<double>(static_cast<float>(hue)) * 6.0 / 255.0;
  const auto sector = static_cast<int>(std::floor(turned));
  const auto f = static_cast<double>(static_cast<float>(turned - static_cast<double>(static_cast<float>(sector))));
  const auto s = static_cast<double>(static_cast<float>(static_cast<double>(static_cast<float>(saturation)) / 255.0));
  const auto v = static_cast<double>(static_cast<float>(value));
  const std::uint8_t p = clipped_byte(static_cast<int>(std::round(v * (1.0 - s)))),
                     q = clipped_byte(static_cast<int>(std::round(v * (1.0 - s * f)))),
                     t = clipped_byte(static_cast<int>(std::round(v * (1.0 - s * (1.0 - f)))));
  const std::array<std::array<std::uint8_t, 3>, 6> sectors{
      {{value, t, p}, {q, value, p}, {p, value, t}, {p, q, value}, {t, p, value}, {value, p, q}}};
  std::copy_n(sectors[static_cast<std::size_t>(sector % 6)].begin(), 3, to);
}

// ImageFilter.SMOOTH: 1 1 1, 1 5 1, 1 1 1 by 13 (Filter.c). The border is copied.
at::Tensor smoothed(const at::Tensor& rows) {
  at::Tensor out = rows.clone();
  const std::int64_t height = rows.size(0), width = rows.size(1), stride = 3 * width;
  const std::uint8_t* from = rows.const_data_ptr<std::uint8_t>();
  std::uint8_t* to = out.mutable_data_ptr<std::uint8_t>();
  constexpr float kSide = 1.0F / 13.0F, kCentre = 5.0F / 13.0F;
  for (std::int64_t y = 1; y + 1 < height; ++y) {
    for (std::int64_t i = 3; i < stride - 3; ++i) {
      float sum = 0.5F;
      for (std::int64_t dy = 1; dy >= -1; --dy) {  // in Pillow's order: from the row below
        const std::uint8_t* row = from + (y + dy) * stride + i;
        const float middle = dy == 0 ? kCentre : kSide;
        sum += static_cast<float>(row[-3]) * kSide + static_cast<float>(row[0]) * middle +
               static_cast<float>(row[3]) * kSide;
      }
      to[y * stride + i] = clipped_byte(static_cast<int>(sum));
    }
  }
  return out;
}

}  // namespace

at::Tensor adjust_brightness(const at::Tensor& image, double factor) {
  const auto alpha = static_cast<float>(factor);
  return mapped_alike(image, [&](int value) { return blended(0, value, alpha); });
}

at::Tensor adjust_contrast(const at::Tensor& image, double factor) {
  const at::Tensor rows = rows_of(image);
  const std::uint8_t* at = rows.const_data_ptr<std::uint8_t>();
  std::int64_t sum = 0;
  for (const std::uint8_t* const end = at + rows.numel(); at != end; at += 3) sum += luma(at);
  const int mean = static_cast<int>(static_cast<double>(sum) / static_cast<double>(rows.size(0) * rows.size(1)) + 0.5);
  const auto alpha = static_cast<float>(factor);
  return mapped_alike(image, [&](int value) { return blended(mean, value, alpha); });
}

at::Tensor adjust_saturation(const at::Tensor& image, double factor) {
  const auto alpha = static_cast<float>(factor);
  return each_pixel(image, [&](const std::uint8_t* from, std::uint8_t* to) {
    const int grey = luma(from);
    for (int c = 0; c < 3; ++c) to[c] = blended(grey, from[c], alpha);
  });
}

at::Tensor adjust_sharpness(const at::Tensor& image, double factor) {
  const at::Tensor rows = rows_of(image);
  at::Tensor out = smoothed(rows);
  const auto alpha = static_cast<float>(factor);
  const std::uint8_t* from = rows.const_data_ptr<std::uint8_t>();
  std::uint8_t* to = out.mutable_data_ptr<std::uint8_t>();
  for (std::int64_t i = 0; i < rows.numel(); ++i) to[i] = blended(to[i], from[i], alpha);
  return out.permute({2, 0, 1});
}

at::Tensor adjust_hue(const at::Tensor& image, double factor) {
  const auto turn = static_cast<std::uint8_t>(static_cast<std::int32_t>(factor * 255));
  return each_pixel(image, [&](const std::uint8_t* from, std::uint8_t* to) {
    const auto hsv = hsv_of(from);
    put_rgb(static_cast<std::uint8_t>(hsv[0] + turn), hsv[1], hsv[2], to);
  });
}

at::Tensor posterize(const at::Tensor& image, int bits) {
  const int mask = ~((1 << (8 - bits)) - 1);
  return mapped_alike(image, [&](int value) { return static_cast<std::uint8_t>(value & mask); });
}

at::Tensor solarize(const at::Tensor& image, double threshold) {
  return mapped_alike(image,
                      [&](int value) { return static_cast<std::uint8_t>(value < threshold ? value : 255 - value); });
}

at::Tensor autocontrast(const at::Tensor& image) {
  ColorTables tables{};
  const auto counts = histograms(image);
  for (std::size_t c = 0; c < 3; ++c) {
    const auto is_used = [](std::int64_t count) { return count > 0; };
    const auto low = static_cast<int>(std::find_if(counts[c].begin(), counts[c].end(), is_used) - counts[c].begin());
    const auto high =
        255 - static_cast<int>(std::find_if(counts[c].rbegin(), counts[c].rend(), is_used) - counts[c].rbegin());
    const double scale = high <= low ? 1 : 255.0 / (high - low), offset = high <= low ? 0 : -low * scale;
    for (int i = 0; i < 256; ++i)
      tables[c][static_cast<std::size_t>(i)] = clipped_byte(static_cast<int>(i * scale + offset));
  }
  return mapped(image, tables);
}

at::Tensor equalize(const at::Tensor& image) {
  ColorTables tables{};
  const auto counts = histograms(image);
  for (std::size_t c = 0; c < 3; ++c) {
    std::vector<std::int64_t> used;
    for (const std::int64_t count : counts[c]) {
      if (count > 0) used.push_back(count);
    }
    std::int64_t step = 0;
    if (used.size() > 1) {
      for (const std::int64_t count : used) step += count;
      step = (step - used.back()) / 255;
    }
    std::int64_t n = step / 2;
    for (std::size_t i = 0; i < 256; ++i) {
      tables[c][i] = step == 0 ? static_cast<std::uint8_t>(i) : clipped_byte(static_cast<int>(n / step));
      n += counts[c][i];
    }
  }
  return mapped(image, tables);
}

}  // namespace lorikeet
