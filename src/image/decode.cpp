#include "image/decode.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <span>

#include "base/error.h"
#include "base/file.h"
#include "base/text.h"
#include "image/bmp.h"
#include "image/gif.h"
#include "image/jpeg.h"
#include "image/png.h"
#include "image/tiff.h"
#include "image/webp.h"

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
constexpr std::string_view kBmp = "BM";
constexpr std::size_t kBmpSizeEnd = 6;
constexpr std::string_view kGif = "GIF8";
constexpr std::string_view kGifEnd = ";";
constexpr std::array<std::string_view, 4> kTiffs{{{"II*\0", 4}, {"MM\0*", 4}, {"II+\0", 4}, {"MM\0+", 4}}};
constexpr std::array<Magic, 9> kOthers{{{4, "ftypavif", "an AVIF"},
                                        {4, "ftyphei", "a HEIC"},
                                        {4, "ftypmif1", "a HEIC"},
                                        {0, "%PDF", "a PDF"},
                                        {0, "PK\x03\x04", "a ZIP archive"},
                                        {0, "\x1f\x8b", "a gzip archive"},
                                        {0, "P6", "a PPM"},
                                        {0, "version https://git-lfs", "a pointer of Git LFS"},
                                        {0, "{", "JSON"}}};

bool is_webp(std::string_view bytes) {
  return bytes.starts_with("RIFF") && bytes.size() >= 12 && bytes.substr(8).starts_with("WEBP");
}

std::uint64_t size_at(std::string_view bytes, std::size_t offset) {
  std::uint64_t out = 0;
  for (std::size_t i = 4; i > 0; --i) out = out << 8 | static_cast<std::uint8_t>(bytes[offset + i - 1]);
  return out;
}

std::string kind_of(std::string_view bytes) {
  if (bytes.empty()) return "an empty file";
  for (const Magic& magic : kOthers) {
    if (bytes.size() >= magic.offset && bytes.substr(magic.offset).starts_with(magic.bytes)) return magic.name;
  }
  const std::size_t text = bytes.find_first_not_of(" \t\r\n");
  if (text != std::string_view::npos && bytes[text] == '<') return "HTML or XML";
  return cat("something that starts with '", printable(bytes.substr(0, 8)), "'");
}

// Whether the file starts and ends as an image of a format that shows its end.
bool has_usual_ends(const InputFile& file) {
  constexpr std::size_t kEnds = 16;  // bytes
  if (file.size() < 2 * kEnds || file.size() > kMaxFile) return false;
  std::array<char, kEnds> first, last;
  file.read(0, std::as_writable_bytes(std::span(first)));
  file.read(file.size() - kEnds, std::as_writable_bytes(std::span(last)));
  const std::string_view begin(first.data(), kEnds), end(last.data(), kEnds);
  if (begin.starts_with(kJpeg)) return end.ends_with(kJpegEnd);
  if (begin.starts_with(kPng)) return end.ends_with(kPngEnd);
  if (begin.starts_with(kGif)) return end.ends_with(kGifEnd);
  // Both formats start with their size.
  if (is_webp(begin)) return size_at(begin, 4) + 8 == file.size();
  return begin.starts_with(kBmp) && size_at(begin, 2) == file.size();
}

// Of a file that can be read.
bool lacks_end(std::string_view bytes) {
  if (bytes.starts_with(kPng)) return bytes.find(kPngEnd) == std::string_view::npos;
  if (bytes.starts_with(kGif)) return bytes.find(kGifEnd) == std::string_view::npos;
  return bytes.starts_with(kBmp) && bytes.size() >= kBmpSizeEnd && bytes.size() < size_at(bytes, 2);
}

}  // namespace

void check_image_size(std::int64_t width, std::int64_t height, const std::string& where) {
  if (width < 1 || height < 1 || width > kMaxSide || height > kMaxSide || width * height > kMaxPixels) {
    fail(where, ": got an image of ", width, " x ", height, " pixels, expected 1 to ", with_commas(kMaxSide),
         " per side and at most ", with_commas(kMaxPixels),
         " in total. Larger images are rejected as decompression bombs.");
  }
}

at::Tensor decode_image(std::string_view bytes, const std::string& where, Exif exif) {
  at::Tensor pixels;
  if (bytes.starts_with(kJpeg)) {
    pixels = decode_jpeg(bytes, where, exif);
  } else if (bytes.starts_with(kPng)) {
    pixels = decode_png(bytes, where, exif);
  } else if (is_webp(bytes)) {
    pixels = decode_webp(bytes, where, exif);
  } else if (bytes.starts_with(kGif)) {
    pixels = decode_gif(bytes, where);
  } else if (std::any_of(kTiffs.begin(), kTiffs.end(), [&](auto magic) { return bytes.starts_with(magic); })) {
    pixels = decode_tiff(bytes, where, exif);
  } else if (bytes.starts_with(kBmp)) {
    pixels = decode_bmp(bytes, where);
  } else {
    fail(where, ": got ", kind_of(bytes), ", expected a JPEG, PNG, WebP, GIF, TIFF or BMP.");
  }
  return pixels.permute({2, 0, 1});
}

at::Tensor read_image(const std::filesystem::path& path, Exif exif) {
  return decode_image(read_file(path, kMaxFile), path.string(), exif);
}

ImageCheck check_image(const std::filesystem::path& path) {
  try {
    if (has_usual_ends(InputFile(path))) return {};
    const std::string bytes = read_file(path, kMaxFile);
    decode_image(bytes, path.string(), Exif::kApply);
    return {.problem = {}, .lacks_end = lacks_end(bytes)};
  } catch (const Error& error) {
    return {.problem = error.what()};
  }
}

}  // namespace lorikeet
