#include "image/exif.h"

#include <ATen/Functions.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace lorikeet {
namespace {

constexpr std::uint32_t kOrientationTag = 0x0112;
constexpr std::uint32_t kShort = 3, kLong = 4, kLong8 = 16;
constexpr int kOrientations = 8;

// Reads unsigned numbers in the byte order of the file. Returns 0 beyond the end.
struct Tiff {
  std::string_view bytes;
  bool big_endian;

  std::uint64_t number(std::uint64_t offset, std::size_t size) const {
    if (offset > bytes.size() || size > bytes.size() - offset) return 0;
    std::uint64_t out = 0;
    for (std::size_t i = 0; i < size; ++i) {
      const std::size_t at = static_cast<std::size_t>(offset) + (big_endian ? i : size - 1 - i);
      out = (out << 8) | static_cast<std::uint8_t>(bytes[at]);
    }
    return out;
  }
};

// Maps a position (y, x) of the result to the pixel index first + y · down + x · right in the source.
struct Walk {
  std::int64_t first, down, right;
};

Walk walk_of(int orientation, std::int64_t height, std::int64_t width) {
  const std::int64_t top_right = width - 1, bottom_left = (height - 1) * width, bottom_right = height * width - 1;
  switch (orientation) {
    case 2: return {top_right, width, -1};
    case 3: return {bottom_right, -width, -1};
    case 4: return {bottom_left, -width, 1};
    case 5: return {0, 1, width};
    case 6: return {bottom_left, 1, -width};
    case 7: return {bottom_right, -1, -width};
    case 8: return {top_right, -1, width};
    default: return {0, width, 1};
  }
}

}  // namespace

std::optional<std::uint64_t> tiff_number(std::string_view tiff, std::uint32_t tag) {
  using namespace std::string_view_literals;
  const bool is_big_tiff = tiff.starts_with("II+\0"sv) || tiff.starts_with("MM\0+"sv);
  if (!is_big_tiff && !tiff.starts_with("II*\0"sv) && !tiff.starts_with("MM\0*"sv)) return std::nullopt;
  const Tiff file{tiff, tiff.front() == 'M'};
  const std::size_t word = is_big_tiff ? 8 : 4, entry_bytes = 4 + 2 * word;
  const std::uint64_t directory = file.number(word, word);
  if (directory >= tiff.size()) return std::nullopt;
  const std::size_t count_bytes = is_big_tiff ? 8 : 2;
  const std::uint64_t entries = file.number(directory, count_bytes);
  std::uint64_t entry = directory + count_bytes;
  for (std::uint64_t i = 0; i < entries && entry + entry_bytes <= tiff.size(); ++i, entry += entry_bytes) {
    if (file.number(entry, 2) != tag) continue;
    const std::uint64_t type = file.number(entry + 2, 2), at = entry + 4 + word;
    if (file.number(entry + 4, word) != 1) return std::nullopt;
    if (type == kShort) return file.number(at, 2);
    if (type == kLong) return file.number(at, 4);
    if (type == kLong8 && is_big_tiff) return file.number(at, 8);
    return std::nullopt;
  }
  return std::nullopt;
}

int exif_orientation(std::string_view tiff) {
  const std::uint64_t value = tiff_number(tiff, kOrientationTag).value_or(kUpright);
  return value >= 1 && value <= kOrientations ? static_cast<int>(value) : kUpright;
}

at::Tensor upright(const at::Tensor& pixels, int orientation) {
  if (orientation == kUpright) return pixels;
  constexpr std::int64_t kBlock =
      32;  // pixels: a rotated row reads a column, whose cache lines also serve the next rows
  const Walk walk = walk_of(orientation, pixels.size(0), pixels.size(1));
  const bool turned = orientation >= 5;
  const std::int64_t height = pixels.size(turned ? 1 : 0), width = pixels.size(turned ? 0 : 1);
  at::Tensor out = at::empty({height, width, 3}, pixels.options());
  const std::uint8_t* from = pixels.const_data_ptr<std::uint8_t>();
  std::uint8_t* to = out.mutable_data_ptr<std::uint8_t>();
  for (std::int64_t top = 0; top < height; top += kBlock) {
    for (std::int64_t left = 0; left < width; left += kBlock) {
      for (std::int64_t y = top; y < std::min(height, top + kBlock); ++y) {
        for (std::int64_t x = left; x < std::min(width, left + kBlock); ++x) {
          std::copy_n(from + 3 * (walk.first + y * walk.down + x * walk.right), 3, to + 3 * (y * width + x));
        }
      }
    }
  }
  return out;
}

}  // namespace lorikeet
