#include "image/decode.h"

#include <array>
#include <cstddef>
#include <span>

#include "base/error.h"
#include "base/file.h"
#include "base/text.h"
#include "image/jpeg.h"
#include "image/png.h"

namespace lorikeet {
namespace {

constexpr std::uint64_t kMaxFile = 256ull << 20;
struct Magic {
  std::size_t offset;
  std::string_view bytes;
  const char* name;
};
constexpr std::string_view kJpeg = "\xff\xd8\xff";
constexpr std::string_view kPng = "\x89PNG\r\n\x1a\n";
constexpr std::string_view kJpegEnd = "\xff\xd9";
constexpr std::string_view kPngEnd("\0\0\0\0IEND\xae\x42\x60\x82", 12);
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
  return cat("something that starts with '", printable(bytes.substr(0, 8)), "'");
}

}  // namespace

void check_image_size(std::int64_t width, std::int64_t height, const std::string& where) {
  if (width < 1 || height < 1 || width > kMaxSide || height > kMaxSide || width * height > kMaxPixels) {
    fail(where, ": got an image of ", width, " x ", height, " pixels, expected 1 to ", with_commas(kMaxSide),
         " per side and at most ", with_commas(kMaxPixels),
         " in total. Larger images are rejected as decompression bombs.");
  }
}

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

std::string image_problem(const std::filesystem::path& path) {
  constexpr std::size_t kEnds = 16;  // bytes
  try {
    const InputFile file(path);
    if (file.size() >= 2 * kEnds && file.size() <= kMaxFile) {
      std::array<char, kEnds> first, last;
      file.read(0, std::as_writable_bytes(std::span(first)));
      file.read(file.size() - kEnds, std::as_writable_bytes(std::span(last)));
      const std::string_view begin(first.data(), kEnds), end(last.data(), kEnds);
      if (begin.starts_with(kJpeg) && end.ends_with(kJpegEnd)) return {};
      if (begin.starts_with(kPng) && end.ends_with(kPngEnd)) return {};
    }
    read_image(path);
  } catch (const Error& error) {
    return error.what();
  }
  return {};
}

}  // namespace lorikeet
