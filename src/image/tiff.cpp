#include "image/tiff.h"

#include <ATen/Functions.h>
#include <tiffio.h>

#include <algorithm>
#include <array>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <memory>
#include <vector>

#include "base/error.h"
#include "base/text.h"
#include "image/decode.h"
#include "image/exif.h"

namespace lorikeet {
namespace {

// Strips and tiles hold at most this: 16 bits of 4 samples of the largest image would not fit, and no writer does that.
constexpr tmsize_t kMaxTiffBlock = 1 << 30;  // bytes
constexpr int kMaxTiffSamples = 4;           // used of each pixel: CMYK

// The file as libtiff reads it, and its first error.
struct TiffSource {
  std::string_view bytes;
  std::uint64_t position = 0;
  std::string error;
};

tmsize_t read_tiff(thandle_t handle, void* into, tmsize_t count) {
  auto& source = *static_cast<TiffSource*>(handle);
  if (count <= 0 || source.position >= source.bytes.size()) return 0;
  const std::size_t taken =
      std::min(static_cast<std::size_t>(count), source.bytes.size() - static_cast<std::size_t>(source.position));
  std::memcpy(into, source.bytes.data() + source.position, taken);
  source.position += taken;
  return static_cast<tmsize_t>(taken);
}
tmsize_t write_tiff(thandle_t, void*, tmsize_t) { return 0; }
toff_t seek_tiff(thandle_t handle, toff_t offset, int whence) {
  auto& source = *static_cast<TiffSource*>(handle);
  if (whence == SEEK_CUR) offset += source.position;
  if (whence == SEEK_END) offset += source.bytes.size();
  return source.position = offset;
}
int close_tiff(thandle_t) { return 0; }
toff_t size_of_tiff(thandle_t handle) { return static_cast<TiffSource*>(handle)->bytes.size(); }

std::string formatted(const char* format, va_list arguments) {
  std::array<char, 256> text{};
  std::vsnprintf(text.data(), text.size(), format, arguments);
  return text.data();
}
void keep_first(void* source, const std::string& error) {
  auto& first = static_cast<TiffSource*>(source)->error;
  if (first.empty()) first = error;
}
// An undefined orientation is ignored, as in other malformed EXIF.
int on_tiff_error(TIFF*, void* data, const char*, const char* format, va_list arguments) {
  const std::string error = formatted(format, arguments);
  if (error.find("\"Orientation\"") == std::string::npos) keep_first(data, error);
  return 1;
}
// Warnings are harmless, except those after which libtiff invents pixels: of a colour map that cannot be read (it would
// show the indices as grey), and of damage that libjpeg detects (see is_harmless in jpeg.cpp).
int on_tiff_warning(TIFF*, void* data, const char* module, const char* format, va_list arguments) {
  const std::string warning = formatted(format, arguments);
  const std::string_view from = module == nullptr ? "" : module;
  const bool is_damage = (from == "JPEGLib" || from == "LibJpeg") && !warning.ends_with("before marker 0xd9") &&
                         (warning.starts_with("Corrupt JPEG data") || warning.starts_with("Premature end of JPEG"));
  if (is_damage || warning.find("ColorMap") != std::string::npos) keep_first(data, warning);
  return 1;
}

int divided_by_255(int product) {
  product += 128;
  return ((product >> 8) + product) >> 8;
}

class TiffReader {
 public:
  TiffReader(std::string_view bytes, const std::string& where) : where_(where), source_{bytes, 0, {}} {
    const std::unique_ptr<TIFFOpenOptions, void (*)(TIFFOpenOptions*)> options(TIFFOpenOptionsAlloc(),
                                                                               TIFFOpenOptionsFree);
    if (!options) fail(where_, ": cannot be decoded: out of memory.");
    TIFFOpenOptionsSetMaxSingleMemAlloc(options.get(), kMaxTiffBlock);
    TIFFOpenOptionsSetErrorHandlerExtR(options.get(), on_tiff_error, &source_);
    TIFFOpenOptionsSetWarningHandlerExtR(options.get(), on_tiff_warning, &source_);
    // m: no memory mapping. D: the sizes of strips as the file has them, not as libtiff corrects them.
    file_.reset(TIFFClientOpenExt("image", "rmD", &source_, read_tiff, write_tiff, seek_tiff, close_tiff, size_of_tiff,
                                  nullptr, nullptr, options.get()));
    if (!file_) broken();
  }

  at::Tensor read(Exif exif) {
    std::uint32_t width = 0, height = 0;
    get(TIFFTAG_IMAGEWIDTH, width);
    get(TIFFTAG_IMAGELENGTH, height);
    check_image_size(width, height, where_);
    width_ = width;
    height_ = height;
    get(TIFFTAG_BITSPERSAMPLE, bits_);
    get(TIFFTAG_SAMPLESPERPIXEL, samples_);
    get(TIFFTAG_PLANARCONFIG, planar_);
    std::uint16_t format = SAMPLEFORMAT_UINT, orientation = ORIENTATION_TOPLEFT;
    get(TIFFTAG_SAMPLEFORMAT, format);
    get(TIFFTAG_COMPRESSION, compression_);
    get(TIFFTAG_ORIENTATION, orientation);
    if (TIFFGetField(file_.get(), TIFFTAG_PHOTOMETRIC, &photometric_) == 0)
      photometric_ = samples_ >= 3 ? PHOTOMETRIC_RGB : PHOTOMETRIC_MINISWHITE;
    if (format != SAMPLEFORMAT_UINT && format != SAMPLEFORMAT_VOID) {
      fail(where_,
           ": got a TIFF whose samples are not unsigned integers, expected 1 to 16 bits of unsigned integers. "
           "Convert it to PNG.");
    }
    check_palette();
    check_blocks();
    // libdeflate succeeds without writing anything if a strip holds more rows than needed, as some programs write them.
    if (compression_ == COMPRESSION_ADOBE_DEFLATE || compression_ == COMPRESSION_DEFLATE)
      TIFFSetField(file_.get(), TIFFTAG_DEFLATE_SUBCODEC, DEFLATE_SUBCODEC_ZLIB);
    if (photometric_ == PHOTOMETRIC_YCBCR && compression_ == COMPRESSION_JPEG && planar_ == PLANARCONFIG_CONTIG) {
      TIFFSetField(file_.get(), TIFFTAG_JPEGCOLORMODE, JPEGCOLORMODE_RGB);
      photometric_ = PHOTOMETRIC_RGB;
    }
    const at::Tensor pixels = is_plain() ? converted(read_all_samples()) : read_rgba();
    if (!source_.error.empty()) broken();  // libtiff goes on after some errors, such as a truncated colour map
    const bool turns = exif == Exif::kApply && orientation >= 1 && orientation <= 8;
    return upright(pixels, turns ? orientation : kUpright);
  }

 private:
  [[noreturn]] void broken() const {
    fail(where_, ": got a TIFF that is corrupt or truncated",
         source_.error.empty() ? "" : cat(" (", printable(source_.error), ")"), ", expected an intact one.");
  }
  template <typename T>
  void get(std::uint32_t tag, T& value) const {
    TIFFGetFieldDefaulted(file_.get(), tag, &value);
  }

  // libtiff takes the indices of a palette that is missing as grey.
  void check_palette() const {
    std::uint16_t *red = nullptr, *green = nullptr, *blue = nullptr;
    if (tiff_number(source_.bytes, TIFFTAG_PHOTOMETRIC) == PHOTOMETRIC_PALETTE &&
        TIFFGetField(file_.get(), TIFFTAG_COLORMAP, &red, &green, &blue) == 0) {
      fail(where_, ": got a TIFF with palette indices but without a ColorMap, expected both.");
    }
  }

  // Every strip and tile is in the file, and its uncompressed pixels are not those of something else.
  void check_blocks() {
    if (compression_ == COMPRESSION_OJPEG) return;  // its pixels may be where JPEGInterchangeFormat says
    constexpr std::uint64_t kHeader = 8, kBigHeader = 16;
    TIFF* const file = file_.get();
    const bool tiled = TIFFIsTiled(file) != 0;
    const std::uint32_t blocks = tiled ? TIFFNumberOfTiles(file) : TIFFNumberOfStrips(file);
    const std::uint32_t planes = planar_ == PLANARCONFIG_SEPARATE ? samples_ : 1;
    std::uint32_t rows = static_cast<std::uint32_t>(height_);
    if (!tiled) get(TIFFTAG_ROWSPERSTRIP, rows);
    if (blocks == 0 || blocks < planes || rows == 0) broken();
    for (std::uint32_t i = 0; i < blocks; ++i) {
      const std::uint64_t offset = TIFFGetStrileOffset(file, i);
      std::uint64_t size = TIFFGetStrileByteCount(file, i);
      if (offset < (TIFFIsBigTIFF(file) != 0 ? kBigHeader : kHeader) || size == 0) {
        fail(where_, ": got a TIFF that is corrupt or truncated (", tiled ? "tile " : "strip ", i, " of ", blocks,
             " is missing), expected an intact one.");
      }
      if (compression_ != COMPRESSION_NONE) continue;
      // libtiff replaces the size of a single strip if it is wrong.
      if (!tiled && blocks == 1) size = tiff_number(source_.bytes, TIFFTAG_STRIPBYTECOUNTS).value_or(size);
      const std::uint64_t height = static_cast<std::uint64_t>(height_);
      const std::uint64_t top = std::min(height, std::uint64_t{i % (blocks / planes)} * rows);
      const auto strip_rows = static_cast<std::uint32_t>(std::min<std::uint64_t>(rows, height - top));
      const std::uint64_t needed = tiled ? TIFFTileSize64(file) : TIFFVStripSize64(file, strip_rows);
      const std::uint64_t directory = TIFFCurrentDirOffset(file);
      if (offset <= directory) size = std::min(size, directory - offset);
      if (size < needed) {
        fail(where_, ": got a TIFF that is corrupt or truncated (", tiled ? "tile " : "strip ", i, " holds ", size,
             " of ", needed, " bytes), expected an intact one.");
      }
    }
  }

  int used_samples() const {
    return photometric_ == PHOTOMETRIC_RGB ? 3 : photometric_ == PHOTOMETRIC_SEPARATED ? 4 : 1;
  }
  bool is_plain() const {
    const bool known = photometric_ == PHOTOMETRIC_MINISBLACK || photometric_ == PHOTOMETRIC_MINISWHITE ||
                       photometric_ == PHOTOMETRIC_RGB || photometric_ == PHOTOMETRIC_PALETTE ||
                       photometric_ == PHOTOMETRIC_SEPARATED;
    const bool whole_bytes = bits_ == 8 || (bits_ == 16 && photometric_ != PHOTOMETRIC_PALETTE);
    const bool packed = (bits_ == 1 || bits_ == 2 || bits_ == 4) && samples_ == 1;
    return known && (whole_bytes || packed) && samples_ >= used_samples() && samples_ <= 16;
  }

  // One strip or tile, with its position in the image.
  struct Block {
    std::uint32_t top, left, height, width;
    std::uint16_t plane;
  };

  // libtiff accepts fax data that ends before the last row, and leaves the other rows of its strip as they are.
  at::Tensor read_all_samples() {
    at::Tensor out = read_samples(0x00);
    const bool is_fax = compression_ == COMPRESSION_CCITTRLE || compression_ == COMPRESSION_CCITTRLEW ||
                        compression_ == COMPRESSION_CCITTFAX3 || compression_ == COMPRESSION_CCITTFAX4;
    if (is_fax && !out.equal(read_samples(0xff))) broken();
    return out;
  }

  // uint8 (H, W, used samples); 16 bits keep the high byte, fewer than 8 are not scaled. A pixel that libtiff does not
  // write has the bits of `unwritten`.
  at::Tensor read_samples(std::uint8_t unwritten) {
    at::Tensor out = at::empty({height_, width_, used_samples()}, at::TensorOptions().dtype(at::kByte));
    const bool tiled = TIFFIsTiled(file_.get()) != 0;
    std::uint32_t block_width = static_cast<std::uint32_t>(width_), block_height = static_cast<std::uint32_t>(height_);
    if (tiled) {
      get(TIFFTAG_TILEWIDTH, block_width);
      get(TIFFTAG_TILELENGTH, block_height);
    } else {
      get(TIFFTAG_ROWSPERSTRIP, block_height);
      block_height = std::min(block_height, static_cast<std::uint32_t>(height_));
    }
    const tmsize_t size = tiled ? TIFFTileSize(file_.get()) : TIFFStripSize(file_.get());
    if (block_width == 0 || block_height == 0 || size <= 0 || size > kMaxTiffBlock) broken();
    std::vector<std::uint8_t> buffer(static_cast<std::size_t>(size));
    const int planes = planar_ == PLANARCONFIG_SEPARATE ? used_samples() : 1;
    const std::size_t row =
        static_cast<std::size_t>(tiled ? TIFFTileRowSize(file_.get()) : TIFFScanlineSize(file_.get()));
    const std::size_t in_row = planar_ == PLANARCONFIG_SEPARATE ? 1 : samples_;
    if (row == 0 || row < (static_cast<std::size_t>(block_width) * in_row * bits_ + 7) / 8) broken();
    if (static_cast<std::uint64_t>(block_height) * row > buffer.size()) broken();
    for (int plane = 0; plane < planes; ++plane) {
      for (std::uint32_t top = 0; top < height_; top += block_height) {
        for (std::uint32_t left = 0; left < width_; left += block_width) {
          const auto sample = static_cast<std::uint16_t>(plane);
          const std::uint32_t number =
              tiled ? TIFFComputeTile(file_.get(), left, top, 0, sample) : TIFFComputeStrip(file_.get(), top, sample);
          std::fill(buffer.begin(), buffer.end(), unwritten);
          const tmsize_t read = tiled ? TIFFReadEncodedTile(file_.get(), number, buffer.data(), size)
                                      : TIFFReadEncodedStrip(file_.get(), number, buffer.data(), size);
          const std::uint32_t rows = std::min(block_height, static_cast<std::uint32_t>(height_) - top);
          if (read < 0 || static_cast<std::uint64_t>(read) < std::uint64_t{rows} * row) broken();
          const std::uint32_t columns = std::min(block_width, static_cast<std::uint32_t>(width_) - left);
          copy_block(buffer.data(), row, {top, left, rows, columns, sample}, out);
        }
        if (block_height > height_ - top) break;  // before an overflow
      }
    }
    return out;
  }

  void copy_block(const std::uint8_t* from, std::size_t row, const Block& block, at::Tensor& out) const {
    const auto used = static_cast<std::size_t>(used_samples());
    const bool separate = planar_ == PLANARCONFIG_SEPARATE;
    const std::size_t step = separate ? 1 : samples_, count = separate ? 1 : used;
    auto* const first = out.mutable_data_ptr<std::uint8_t>();
    for (std::uint32_t y = 0; y < block.height; ++y, from += row) {
      std::uint8_t* to =
          first + (static_cast<std::size_t>(block.top + y) * static_cast<std::size_t>(width_) + block.left) * used +
          (separate ? block.plane : 0);
      for (std::uint32_t x = 0; x < block.width; ++x, to += used) {
        for (std::size_t s = 0; s < count; ++s) to[s] = sample_at(from, x * step + s);
      }
    }
  }

  std::uint8_t sample_at(const std::uint8_t* row, std::size_t index) const {
    if (bits_ == 8) return row[index];
    if (bits_ == 16) {
      std::uint16_t value = 0;  // in the machine's byte order
      std::memcpy(&value, row + 2 * index, sizeof value);
      return static_cast<std::uint8_t>(value >> 8);
    }
    const std::size_t per_byte = 8U / bits_;
    const auto shift = static_cast<int>(8 - bits_ * (index % per_byte + 1));
    return static_cast<std::uint8_t>((row[index / per_byte] >> shift) & ((1 << bits_) - 1));
  }

  at::Tensor converted(const at::Tensor& samples) {
    if (photometric_ == PHOTOMETRIC_RGB) return samples;
    at::Tensor out = at::empty({height_, width_, 3}, samples.options());
    const std::uint8_t* from = samples.const_data_ptr<std::uint8_t>();
    std::uint8_t* to = out.mutable_data_ptr<std::uint8_t>();
    const std::int64_t count = width_ * height_;
    if (photometric_ == PHOTOMETRIC_SEPARATED) {
      for (std::int64_t i = 0; i < count; ++i, from += 4, to += 3) {
        const int light = 255 - from[3];
        for (int c = 0; c < 3; ++c)
          to[c] = static_cast<std::uint8_t>(std::clamp(light - divided_by_255(from[c] * light), 0, 255));
      }
      return out;
    }
    const auto table = colors();
    for (std::int64_t i = 0; i < count; ++i, to += 3) std::copy_n(table[from[i]].begin(), 3, to);
    return out;
  }

  std::array<std::array<std::uint8_t, 3>, 256> colors() {
    std::array<std::array<std::uint8_t, 3>, 256> out{};
    const int most = bits_ >= 8 ? 255 : (1 << bits_) - 1;
    if (photometric_ == PHOTOMETRIC_PALETTE) {
      std::uint16_t *red = nullptr, *green = nullptr, *blue = nullptr;
      if (TIFFGetField(file_.get(), TIFFTAG_COLORMAP, &red, &green, &blue) == 0) broken();
      for (int i = 0; i <= most; ++i) {
        const auto index = static_cast<std::size_t>(i);
        out[index] = {static_cast<std::uint8_t>(red[i] >> 8), static_cast<std::uint8_t>(green[i] >> 8),
                      static_cast<std::uint8_t>(blue[i] >> 8)};
      }
      return out;
    }
    for (int i = 0; i <= most; ++i) {
      const int value = i * 255 / most;
      const auto grey = static_cast<std::uint8_t>(photometric_ == PHOTOMETRIC_MINISWHITE ? 255 - value : value);
      out[static_cast<std::size_t>(i)] = {grey, grey, grey};
    }
    return out;
  }

  // By libtiff's own conversion, without its blending of alpha.
  at::Tensor read_rgba() {
    // Otherwise libtiff flips, but does not rotate.
    TIFFSetField(file_.get(), TIFFTAG_ORIENTATION, ORIENTATION_TOPLEFT);
    std::array<char, 1024> reason{};
    if (TIFFRGBAImageOK(file_.get(), reason.data()) == 0)
      fail(where_, ": got a TIFF of an unsupported kind (", printable(reason.data()), "). Convert it to PNG.");
    std::vector<std::uint32_t> raster(static_cast<std::size_t>(width_ * height_));
    if (TIFFReadRGBAImageOriented(file_.get(), static_cast<std::uint32_t>(width_), static_cast<std::uint32_t>(height_),
                                  raster.data(), ORIENTATION_TOPLEFT, 1) == 0)
      broken();
    at::Tensor out = at::empty({height_, width_, 3}, at::TensorOptions().dtype(at::kByte));
    std::uint8_t* to = out.mutable_data_ptr<std::uint8_t>();
    for (const std::uint32_t pixel : raster) {
      *to++ = static_cast<std::uint8_t>(TIFFGetR(pixel));
      *to++ = static_cast<std::uint8_t>(TIFFGetG(pixel));
      *to++ = static_cast<std::uint8_t>(TIFFGetB(pixel));
    }
    return out;
  }

  const std::string& where_;
  TiffSource source_;
  std::unique_ptr<TIFF, void (*)(TIFF*)> file_{nullptr, TIFFClose};
  std::int64_t width_ = 0, height_ = 0;
  std::uint16_t bits_ = 1, samples_ = 1, planar_ = PLANARCONFIG_CONTIG, photometric_ = PHOTOMETRIC_MINISBLACK;
  std::uint16_t compression_ = COMPRESSION_NONE;
};

}  // namespace

at::Tensor decode_tiff(std::string_view bytes, const std::string& where, Exif exif) {
  return TiffReader(bytes, where).read(exif);
}

}  // namespace lorikeet
