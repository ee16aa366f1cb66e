#include "image/exif.h"

#include <ATen/Functions.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace lorikeet {
namespace {

constexpr std::uint32_t kOrientationTag = 0x0112;
constexpr std::uint32_t kShort = 3, kLong = 4;
constexpr std::size_t kEntryBytes = 12;
constexpr int kOrientations = 8;

// Reads unsigned numbers in the byte order of the file. Returns 0 beyond the end.
struct Tiff {
  std::string_view bytes;
  bool big_endian;

  std::uint32_t number(std::size_t offset, std::size_t size) const {
    if (offset > bytes.size() || size > bytes.size() - offset) return 0;
    std::uint32_t out = 0;
    for (std::size_t i = 0; i < size; ++i) {
      const std::size_t at = offset + (big_endian ? i : size - 1 - i);
      out = (out << 8) | static_cast<std::uint8_t>(bytes[at]);
    }
    return out;
  }
  std::uint32_t u16(std::size_t offset) const { return number(offset, 2); }
  std::uint32_t u32(std::size_t offset) const { return number(offset, 4); }
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

int exif_orientation(std::string_view tiff) {
  using namespace std::string_view_literals;
  const bool big_endian = tiff.starts_with("MM\0*"sv);
  if (!big_endian && !tiff.starts_with("II*\0"sv)) return kUpright;
  const Tiff file{tiff, big_endian};
  const std::size_t directory = file.u32(4);
  const std::uint32_t entries = file.u16(directory);
  for (std::uint32_t i = 0; i < entries; ++i) {
    const std::size_t entry = directory + 2 + i * kEntryBytes;
    if (entry + kEntryBytes > tiff.size()) break;
    if (file.u16(entry) != kOrientationTag) continue;
    const std::uint32_t type = file.u16(entry + 2);
    if ((type != kShort && type != kLong) || file.u32(entry + 4) != 1) return kUpright;
    const std::uint32_t value = type == kShort ? file.u16(entry + 8) : file.u32(entry + 8);
    return value >= 1 && value <= kOrientations ? static_cast<int>(value) : kUpright;
  }
  return kUpright;
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
