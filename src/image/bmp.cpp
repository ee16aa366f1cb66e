#include "image/bmp.h"

#include <ATen/Functions.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "base/error.h"
#include "base/text.h"
#include "image/decode.h"

namespace lorikeet {
namespace {

constexpr std::size_t kFileHeader = 14, kOs2Header = 12, kInfoHeader = 40;  // bytes
enum BmpCompression : std::uint32_t { kBmpNone = 0, kBmpRle8 = 1, kBmpRle4 = 2, kBmpFields = 3, kBmpAlphaFields = 6 };

class BmpReader {
 public:
  BmpReader(std::string_view bytes, const std::string& where) : bytes_(bytes), where_(where) {}

  at::Tensor read() {
    read_header();
    out_ = at::empty({height_, width_, 3}, at::TensorOptions().dtype(at::kByte));
    if (bits_ <= 8) {
      read_palette();
      compression_ == kBmpNone ? read_indices() : read_runs();
    } else if (bits_ == 24) {
      read_rows([](const std::uint8_t* from, std::uint8_t* to) {
        for (int i = 0; i < 3; ++i) to[i] = from[2 - i];
      });
    } else {
      read_fields();
    }
    return out_;
  }

 private:
  [[noreturn]] void truncated() const {
    fail(where_, ": got a BMP that is corrupt or truncated, expected an intact one.");
  }
  std::uint32_t number(std::size_t offset, std::size_t size) const {
    if (offset > bytes_.size() || bytes_.size() - offset < size) truncated();
    std::uint32_t value = 0;
    for (std::size_t i = size; i > 0; --i) value = value << 8 | static_cast<std::uint8_t>(bytes_[offset + i - 1]);
    return value;
  }

  void read_header() {
    header_ = number(kFileHeader, 4);
    pixels_at_ = number(10, 4);
    if (header_ == kOs2Header) {
      width_ = number(18, 2);
      height_ = number(20, 2);
      bits_ = number(24, 2);
    } else if (header_ >= kInfoHeader && header_ <= 1024) {
      width_ = static_cast<std::int32_t>(number(18, 4));
      const std::int64_t height = static_cast<std::int32_t>(number(22, 4));
      from_top_ = height < 0;
      height_ = std::abs(height);
      bits_ = number(28, 2);
      compression_ = number(30, 4);
      colors_ = number(46, 4);
    } else {
      fail(where_, ": got a BMP with a header of ", counted(header_, "byte"), ", expected 12 or at least 40.");
    }
    check_image_size(width_, height_, where_);
    const bool is_known = bits_ == 1 || bits_ == 4 || bits_ == 8 || bits_ == 16 || bits_ == 24 || bits_ == 32;
    const bool fits = compression_ == kBmpNone || (compression_ == kBmpRle8 && bits_ == 8) ||
                      (compression_ == kBmpRle4 && bits_ == 4) ||
                      ((compression_ == kBmpFields || compression_ == kBmpAlphaFields) && (bits_ == 16 || bits_ == 32));
    if (!is_known || !fits) {
      fail(where_, ": got a BMP of ", bits_, " bits per pixel with compression ", compression_,
           ", expected 1, 4, 8, 16, 24 or 32 bits, uncompressed or run-length encoded. Convert it to PNG.");
    }
    find_pixels();
  }

  std::size_t palette_entry() const { return header_ == kOs2Header ? 3 : 4; }  // bytes
  std::size_t palette_size() const {
    const std::size_t most = bits_ <= 8 ? std::size_t{1} << bits_ : 0;
    return colors_ == 0 ? most : std::min<std::size_t>(colors_, most);
  }

  // Like Pillow, takes an offset of 0 as unknown, and one that would leave no space for the palette as without it.
  void find_pixels() {
    std::size_t headers = kFileHeader + header_;
    if (header_ == kInfoHeader && compression_ == kBmpFields) headers += 3 * sizeof(std::uint32_t);
    if (header_ == kInfoHeader && compression_ == kBmpAlphaFields) headers += 4 * sizeof(std::uint32_t);
    if (pixels_at_ == 0 || (pixels_at_ == headers && bits_ <= 8)) {
      pixels_at_ = headers + palette_size() * palette_entry();
    } else if (pixels_at_ < headers) {
      fail(where_, ": got a BMP whose pixels start at byte ", pixels_at_, ", inside its headers of ", headers,
           " bytes, expected them after the headers.");
    }
  }

  void read_palette() {
    const std::size_t entry = palette_entry(), at = kFileHeader + header_;
    const std::size_t count = std::min(palette_size(), (pixels_at_ - at) / entry);  // some programs write fewer
    for (std::size_t i = 0; i < count; ++i) {
      for (std::size_t c = 0; c < 3; ++c) palette_[i][c] = static_cast<std::uint8_t>(number(at + i * entry + 2 - c, 1));
    }
  }

  std::uint8_t* row(std::int64_t y) {
    return out_.mutable_data_ptr<std::uint8_t>() + (from_top_ ? y : height_ - 1 - y) * width_ * 3;
  }

  // Rows are padded to four bytes. Calls put(from, to) for each pixel of a whole number of bytes.
  template <typename Put>
  void read_rows(Put put) {
    const std::size_t size = bits_ / 8;
    const std::size_t stride = (static_cast<std::size_t>(width_) * bits_ + 31) / 32 * 4;
    require(stride);
    for (std::int64_t y = 0; y < height_; ++y) {
      const auto* from =
          reinterpret_cast<const std::uint8_t*>(bytes_.data()) + pixels_at_ + static_cast<std::size_t>(y) * stride;
      std::uint8_t* to = row(y);
      for (std::int64_t x = 0; x < width_; ++x, from += size, to += 3) put(from, to);
    }
  }

  void require(std::size_t stride) const {
    const std::size_t last = (static_cast<std::size_t>(width_) * bits_ + 7) / 8;  // its padding may be missing
    const std::size_t needed = static_cast<std::size_t>(height_ - 1) * stride + last;
    if (pixels_at_ > bytes_.size() || bytes_.size() - pixels_at_ < needed) truncated();
  }

  void read_indices() {
    const std::size_t stride = (static_cast<std::size_t>(width_) * bits_ + 31) / 32 * 4;
    require(stride);
    const std::size_t per_byte = 8 / bits_;
    const std::uint32_t mask = (1U << bits_) - 1;
    for (std::int64_t y = 0; y < height_; ++y) {
      const char* from = bytes_.data() + pixels_at_ + static_cast<std::size_t>(y) * stride;
      std::uint8_t* to = row(y);
      for (std::size_t x = 0; x < static_cast<std::size_t>(width_); ++x, to += 3) {
        const auto byte = static_cast<std::uint8_t>(from[x / per_byte]);
        const std::size_t shift = 8 - bits_ * (x % per_byte + 1);
        std::copy_n(palette_[(byte >> shift) & mask].begin(), 3, to);
      }
    }
  }

  // Pixels that no run covers have colour 0. Runs beyond the end of a row are cut.
  void read_runs() {
    for (std::int64_t y = 0; y < height_; ++y) {
      std::uint8_t* to = row(y);
      for (std::int64_t x = 0; x < width_; ++x, to += 3) std::copy_n(palette_[0].begin(), 3, to);
    }
    std::size_t at = pixels_at_;
    std::int64_t x = 0, y = 0;
    const auto put = [&](std::uint32_t index) {
      if (x < width_ && y < height_) std::copy_n(palette_[index].begin(), 3, row(y) + 3 * x);
      ++x;
    };
    const auto nibble = [&](std::uint32_t byte, std::size_t i) { return i % 2 == 0 ? byte >> 4 : byte & 15; };
    const auto is_complete = [&] { return y == height_ - 1 && x >= width_; };
    // The mark of the end may be missing.
    while (y < height_ && (at < bytes_.size() || !is_complete())) {
      const std::uint32_t count = number(at, 1), value = number(at + 1, 1);
      at += 2;
      if (count > 0) {
        for (std::size_t i = 0; i < count; ++i) put(bits_ == 8 ? value : nibble(value, i));
      } else if (value == 0) {
        x = 0;
        ++y;
      } else if (value == 1) {
        return;
      } else if (value == 2) {
        x += number(at, 1);
        y += number(at + 1, 1);
        at += 2;
      } else {
        const std::size_t size = bits_ == 8 ? value : (value + 1) / 2;
        for (std::size_t i = 0; i < value; ++i) {
          put(bits_ == 8 ? number(at + i, 1) : nibble(number(at + i / 2, 1), i));
        }
        at += (size + 1) / 2 * 2;
      }
    }
  }

  void read_fields() {
    std::array<std::uint32_t, 3> masks = bits_ == 32 ? std::array<std::uint32_t, 3>{0xff0000, 0xff00, 0xff}
                                                     : std::array<std::uint32_t, 3>{0x7c00, 0x3e0, 0x1f};
    if (compression_ != kBmpNone) {
      for (std::size_t i = 0; i < 3; ++i) masks[i] = number(kFileHeader + kInfoHeader + 4 * i, 4);
    }
    for (const std::uint32_t mask : masks) {
      const std::uint32_t ones = mask == 0 ? 0 : mask >> std::countr_zero(mask);
      if (ones == 0 || (ones & (ones + 1)) != 0 || std::popcount(mask) > 16) {
        fail(where_, ": got a BMP with the colour mask ", mask, ", expected 1 to 16 consecutive bits.");
      }
    }
    const std::size_t size = bits_ / 8;
    read_rows([&](const std::uint8_t* from, std::uint8_t* to) {
      std::uint32_t pixel = 0;
      for (std::size_t i = size; i > 0; --i) pixel = pixel << 8 | from[i - 1];
      for (std::size_t c = 0; c < 3; ++c) {
        const int shift = std::countr_zero(masks[c]);
        to[c] = static_cast<std::uint8_t>(((pixel & masks[c]) >> shift) * 255 / (masks[c] >> shift));
      }
    });
  }

  std::string_view bytes_;
  const std::string& where_;
  std::size_t header_ = 0, pixels_at_ = 0;
  std::int64_t width_ = 0, height_ = 0;
  std::uint32_t bits_ = 0, compression_ = kBmpNone, colors_ = 0;
  bool from_top_ = false;
  std::array<std::array<std::uint8_t, 3>, 256> palette_{};
  at::Tensor out_;
};

}  // namespace

at::Tensor decode_bmp(std::string_view bytes, const std::string& where) { return BmpReader(bytes, where).read(); }

}  // namespace lorikeet
