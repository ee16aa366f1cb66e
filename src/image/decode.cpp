#include "image/decode.h"

#include <ATen/Functions.h>
#include <spng.h>
#include <turbojpeg.h>

#include <algorithm>
#include <array>
#include <memory>

#include "base/error.h"
#include "base/file.h"
#include "base/text.h"

namespace lorikeet {
namespace {

constexpr std::uint64_t kMaxFile = 256ull << 20;
constexpr std::size_t kMaxChunk = 64ull << 20;  // of a PNG, text and profiles included
constexpr std::uint8_t kPngGrey = 0;

void check_size(std::int64_t width, std::int64_t height, const std::string& where) {
  if (width < 1 || height < 1 || width > kMaxSide || height > kMaxSide || width * height > kMaxPixels) {
    fail(where, ": got an image of ", width, " x ", height, " pixels, expected 1 to ", with_commas(kMaxSide),
         " a side and at most ", with_commas(kMaxPixels), " in all. Larger ones are taken for decompression bombs.");
  }
}

// (height, width, channels), not initialised.
at::Tensor empty_pixels(std::int64_t height, std::int64_t width, std::int64_t channels) {
  return at::empty({height, width, channels}, at::TensorOptions().dtype(at::kByte));
}

// PIL takes every CMYK JPEG for an inverted one, as Adobe writes them, and rounds the product like this.
at::Tensor rgb_of_inverted_cmyk(const at::Tensor& cmyk) {
  at::Tensor rgb = empty_pixels(cmyk.size(0), cmyk.size(1), 3);
  const std::uint8_t* from = cmyk.const_data_ptr<std::uint8_t>();
  std::uint8_t* to = rgb.mutable_data_ptr<std::uint8_t>();
  const std::uint8_t* const end = from + cmyk.numel();
  for (; from != end; from += 4, to += 3) {
    for (int c = 0; c < 3; ++c) {
      const int product = (255 - from[c]) * from[3] + 128;
      to[c] = static_cast<std::uint8_t>(std::max(0, from[3] - ((product >> 8) + product) / 256));
    }
  }
  return rgb;
}

// Two warnings of libjpeg leave every pixel intact, and well-known datasets (Cats vs Dogs) are full of both: padding
// between the last row and the end marker, and an unheard-of JFIF version. Any other means pixels that are made up.
bool is_harmless(std::string_view warning) {
  return warning.find("extraneous bytes before marker 0xd9") != std::string_view::npos ||
         warning.find("unknown JFIF revision") != std::string_view::npos;
}

// At least the scans that a decoder will see: 0xff 0xda stands in compressed data for nothing else, but may in a
// profile.
std::int64_t count_scans(std::string_view bytes) {
  std::int64_t scans = 0;
  for (std::size_t at = bytes.find("\xff\xda"); at != std::string_view::npos; at = bytes.find("\xff\xda", at + 2))
    ++scans;
  return scans;
}

at::Tensor decode_jpeg(std::string_view bytes, const std::string& where) {
  const std::unique_ptr<void, int (*)(tjhandle)> handle(tjInitDecompress(), tjDestroy);
  if (!handle) fail(where, ": cannot be decoded: ", printable(tjGetErrorStr2(nullptr)), ".");
  const auto fail_with = [&](const std::string& reason) {
    fail(where, ": got a JPEG that is corrupt, truncated or of a kind not supported (", printable(reason),
         "), expected a whole one.");
  };
  const auto* data = reinterpret_cast<const unsigned char*>(bytes.data());
  const auto size = static_cast<unsigned long>(bytes.size());

  // The result is not looked at: an uncommon subsampling makes it -1 although all that is asked for here was read.
  int width = 0, height = 0, subsampling = 0, colourspace = -1;
  tjDecompressHeader3(handle.get(), data, size, &width, &height, &subsampling, &colourspace);
  if (colourspace < 0) fail_with(tjGetErrorStr2(handle.get()));
  check_size(width, height, where);
  const std::int64_t pixels_a_scan = std::int64_t{width} * height;
  if (const std::int64_t scans = count_scans(bytes); scans > kMaxScannedPixels / pixels_a_scan) {
    fail(where, ": got a JPEG of ", width, " x ", height, " pixels in ", scans, " scans, expected at most ",
         kMaxScannedPixels / pixels_a_scan, " scans for this size. Such a file is made to take very long.");
  }

  // Defaults are wanted: the accurate integer DCT and smooth upsampling, as in PIL.
  const bool cmyk = colourspace == TJCS_CMYK || colourspace == TJCS_YCCK;
  at::Tensor pixels = empty_pixels(height, width, cmyk ? 4 : 3);
  const auto decode = [&](int flags) {
    const int result =
        tjDecompress2(handle.get(), data, size, pixels.mutable_data_ptr<std::uint8_t>(), width, 0, height,
                      cmyk ? TJPF_CMYK : TJPF_RGB, flags | TJFLAG_ACCURATEDCT | TJFLAG_LIMITSCANS);
    return result == 0 ? std::string() : std::string(tjGetErrorStr2(handle.get()));
  };
  const std::string first = decode(TJFLAG_STOPONWARNING);
  if (!first.empty()) {
    // Only the last warning can be read, so a second run that ends with the same harmless one as the first met no
    // other: nothing is decoded after the end marker, and the JFIF version comes before everything else.
    if (!is_harmless(first)) fail_with(first);
    const std::string last = decode(0);
    if (last != first) fail_with(last);
  }
  return cmyk ? rgb_of_inverted_cmyk(pixels) : pixels;
}

at::Tensor decode_png(std::string_view bytes, const std::string& where) {
  const std::unique_ptr<spng_ctx, void (*)(spng_ctx*)> context(spng_ctx_new(0), spng_ctx_free);
  if (!context) fail(where, ": cannot be decoded: out of memory.");
  const auto check = [&](int error) {
    if (error != 0)
      fail(where, ": got a PNG that is corrupt or truncated (", spng_strerror(error), "), expected a whole one.");
  };
  check(spng_set_image_limits(context.get(), kMaxSide, kMaxSide));
  check(spng_set_chunk_limits(context.get(), kMaxChunk, kMaxChunk));
  check(spng_set_png_buffer(context.get(), bytes.data(), bytes.size()));
  spng_ihdr header{};
  check(spng_get_ihdr(context.get(), &header));
  check_size(header.width, header.height, where);

  const auto decode = [&](void* to, std::size_t count, int format) {
    std::size_t expected = 0;
    check(spng_decoded_image_size(context.get(), format, &expected));
    if (expected != count) fail(where, ": got a PNG of ", expected, " bytes of pixels, expected ", count, ".");
    check(spng_decode_image(context.get(), to, count, format, 0));
    check(spng_decode_chunks(context.get()));  // to the end of the file, which shows one that lost its tail
  };
  at::Tensor pixels = empty_pixels(header.height, header.width, 3);
  if (header.color_type == kPngGrey && header.bit_depth == 16) {
    at::Tensor wide = at::empty({header.height, header.width}, at::TensorOptions().dtype(at::kUInt16));
    decode(wide.data_ptr(), wide.nbytes(), SPNG_FMT_PNG);
    const auto* from = static_cast<const std::uint16_t*>(wide.const_data_ptr());
    std::uint8_t* to = pixels.mutable_data_ptr<std::uint8_t>();
    for (std::int64_t i = 0; i < wide.numel(); ++i, to += 3) {
      to[0] = to[1] = to[2] = static_cast<std::uint8_t>(std::min<std::uint16_t>(from[i], 255));
    }
  } else {
    decode(pixels.data_ptr(), pixels.nbytes(), SPNG_FMT_RGB8);
  }
  return pixels;
}

struct Magic {
  std::size_t offset;
  std::string_view bytes;
  const char* name;
};
constexpr std::string_view kJpeg = "\xff\xd8\xff";
constexpr std::string_view kPng = "\x89PNG\r\n\x1a\n";
constexpr std::array<Magic, 14> kOthers{{{0, "GIF8", "a GIF"},
                                         {8, "WEBP", "a WebP"},
                                         {4, "ftypavif", "an AVIF"},
                                         {4, "ftyphei", "a HEIC"},
                                         {4, "ftypmif1", "a HEIC"},
                                         {0, "BM", "a BMP"},
                                         {0, {"II*\0", 4}, "a TIFF"},
                                         {0, {"MM\0*", 4}, "a TIFF"},
                                         {0, "%PDF", "a PDF"},
                                         {0, "PK\x03\x04", "a ZIP archive"},
                                         {0, "\x1f\x8b", "a gzip archive"},
                                         {0, "P6", "a PPM"},
                                         {0, "version https://git-lfs", "a pointer of Git LFS"},
                                         {0, "{", "JSON"}}};

std::string kind_of(std::string_view bytes) {
  if (bytes.empty()) return "an empty file";
  for (const Magic& magic : kOthers) {
    if (bytes.size() >= magic.offset && bytes.substr(magic.offset).starts_with(magic.bytes)) return magic.name;
  }
  const std::size_t text = bytes.find_first_not_of(" \t\r\n");
  if (text != std::string_view::npos && bytes[text] == '<') return "HTML or XML";
  return cat("something that begins with '", printable(bytes.substr(0, 8)), "'");
}

}  // namespace

at::Tensor decode_image(std::string_view bytes, const std::string& where) {
  at::Tensor pixels;
  if (bytes.starts_with(kJpeg)) {
    pixels = decode_jpeg(bytes, where);
  } else if (bytes.starts_with(kPng)) {
    pixels = decode_png(bytes, where);
  } else {
    fail(where, ": got ", kind_of(bytes), ", expected a JPEG or a PNG.");
  }
  return pixels.permute({2, 0, 1});
}

at::Tensor read_image(const std::filesystem::path& path) {
  return decode_image(read_file(path, kMaxFile), path.string());
}

}  // namespace lorikeet
