#include "image/decode.h"

#include <doctest/doctest.h>

#include <array>
#include <cstring>
#include <string>
#include <string_view>

#include "base/file.h"
#include "image/exif.h"
#include "image/exif_samples.h"
#include "image/samples.h"
#include "lorikeet/error.h"
#include "temporary_folder.h"

using namespace lorikeet;

namespace {

constexpr std::size_t kColourJpeg = 1, kProgressiveJpeg = 2, kColourPng = 8;
constexpr std::size_t kStartOfImage = 2, kPngHeader = 33;  // bytes: the first marker; signature and IHDR

std::string file_of(std::size_t sample) { return bytes_of(kSamples[sample].file); }

std::string pixels_of(const at::Tensor& image) {
  const at::Tensor interleaved = image.permute({1, 2, 0});
  REQUIRE(interleaved.is_contiguous());
  return {static_cast<const char*>(interleaved.const_data_ptr()), interleaved.nbytes()};
}

std::string message_of(const std::string& bytes) {
  try {
    decode_image(bytes, "x.jpg");
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

bool refused(const std::string& bytes, const std::string& because) {
  const std::string message = message_of(bytes);
  CAPTURE(message);
  CAPTURE(because);
  CHECK(message.starts_with("x.jpg: "));
  CHECK(message.find('\n') == std::string::npos);
  return message.find(because) != std::string::npos;
}

// Overwrites the two sides in the frame header of a JPEG, which follows marker SOF0 or SOF2.
std::string with_jpeg_size(std::string bytes, unsigned height, unsigned width) {
  for (std::size_t i = 2; i + 9 < bytes.size(); ++i) {
    if (bytes[i] != '\xff' || (bytes[i + 1] != '\xc0' && bytes[i + 1] != '\xc2')) continue;
    bytes[i + 5] = static_cast<char>(height >> 8);
    bytes[i + 6] = static_cast<char>(height & 255);
    bytes[i + 7] = static_cast<char>(width >> 8);
    bytes[i + 8] = static_cast<char>(width & 255);
    return bytes;
  }
  FAIL("no frame header");
  return bytes;
}

std::uint32_t crc32(std::string_view bytes) {
  std::uint32_t crc = ~0u;
  for (const char byte : bytes) {
    crc ^= static_cast<std::uint8_t>(byte);
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0xedb88320u : 0u);
  }
  return ~crc;
}

// Overwrites the two sides in the header of a PNG, and mends its checksum.
std::string with_png_size(std::string bytes, std::uint32_t height, std::uint32_t width) {
  const std::array<std::uint32_t, 2> sides{__builtin_bswap32(width), __builtin_bswap32(height)};
  std::memcpy(&bytes[16], sides.data(), sizeof(sides));
  const std::uint32_t checksum = __builtin_bswap32(crc32(std::string_view(bytes).substr(12, 17)));
  std::memcpy(&bytes[29], &checksum, sizeof(checksum));
  return bytes;
}

std::string png_chunk(const std::string& type, const std::string& content) {
  const auto number = [](std::uint32_t value) {
    value = __builtin_bswap32(value);
    return std::string(reinterpret_cast<const char*>(&value), 4);
  };
  return number(static_cast<std::uint32_t>(content.size())) + type + content + number(crc32(type + content));
}

// A segment of a JPEG's header.
std::string segment(char marker, const std::string& content) {
  const std::size_t size = content.size() + 2;
  return std::string{'\xff', marker, static_cast<char>(size >> 8), static_cast<char>(size & 255)} + content;
}

std::string with_insert(std::string bytes, std::size_t at, const std::string& insert) {
  return bytes.insert(at, insert);
}

// Without anything in the file that a viewer would turn the image by.
bool is_as_stored(const std::string& bytes, std::size_t sample) {
  return pixels_of(decode_image(bytes, "as stored")) == bytes_of(kSamples[sample].pixels);
}

at::Tensor turned(std::size_t sample, int orientation) {
  const at::Tensor stored = decode_image(file_of(sample), "a sample").permute({1, 2, 0});
  return upright(stored, orientation).permute({2, 0, 1});
}

}  // namespace

TEST_CASE("JPEG and PNG of every kind give the pixels that PIL gives") {
  for (const Sample& sample : kSamples) {
    CAPTURE(sample.name);
    const at::Tensor image = decode_image(bytes_of(sample.file), sample.name);
    REQUIRE(image.sizes() == at::IntArrayRef({3, 7, 9}));
    CHECK((image.scalar_type() == at::kByte));
    CHECK(pixels_of(image) == bytes_of(sample.pixels));
  }
}

TEST_CASE("an image file is read by content, whatever its name") {
  const TemporaryFolder folder;
  write_file(folder.path / "wrong.gif", file_of(kColourPng));
  CHECK(pixels_of(read_image(folder.path / "wrong.gif")) == bytes_of(kSamples[kColourPng].pixels));
  CHECK_THROWS_AS(read_image(folder.path / "absent.png"), Error);
}

TEST_CASE("JPEG oddities that leave the pixels whole are accepted, as by PIL") {
  const std::string pixels = bytes_of(kSamples[kColourJpeg].pixels);
  std::string padded = file_of(kColourJpeg);
  padded.insert(padded.size() - 2, std::string(5, '\0'));
  CHECK(pixels_of(decode_image(padded, "padding before the end marker")) == pixels);
  std::string odd_version = file_of(kColourJpeg);
  REQUIRE(odd_version.substr(6, 4) == "JFIF");
  odd_version[11] = 0;
  CHECK(pixels_of(decode_image(odd_version, "JFIF 0.1")) == pixels);
  odd_version.insert(odd_version.size() - 2, std::string(5, '\0'));
  CHECK(pixels_of(decode_image(odd_version, "two oddities")) == pixels);
  CHECK(is_as_stored(with_insert(file_of(kColourJpeg), 20, "odd"), kColourJpeg));  // between two segments of the header
  CHECK(is_as_stored(with_insert(file_of(kColourJpeg), 20, segment('\xee', std::string("Adobe\0\x64\0\0\0\0\x07", 12))),
                     kColourJpeg));  // an unknown colour transform
  CHECK(pixels_of(decode_image(file_of(kColourJpeg) + "trailing", "something after the end marker")) == pixels);
}

TEST_CASE("a harmless warning hides no other one: a truncated JPEG is refused whatever its header") {
  for (const std::size_t sample : {kColourJpeg, std::size_t{0}}) {
    std::string odd = file_of(sample);
    odd[11] = 0;  // JFIF 0
    odd.insert(20, "odd");
    for (std::size_t size = odd.size() - 1; size > odd.size() - 20; --size)
      CHECK(refused(odd.substr(0, size), "got a truncated JPEG (Premature end of JPEG file)"));
  }
}

TEST_CASE("a JPEG is turned upright by its EXIF, wherever that stands in the header") {
  const std::string plain = file_of(kColourJpeg), exif("Exif\0\0", 6);
  const std::string xmp = segment('\xe1', "http://ns.adobe.com/xap/1.0/");
  for (const bool big_endian : {false, true}) {
    for (int orientation = 1; orientation <= 8; ++orientation) {
      CAPTURE(orientation);
      const std::string tiff = exif_with(static_cast<std::uint32_t>(orientation), {.big_endian = big_endian});
      const std::string app1 = segment('\xe1', exif + tiff);
      for (const std::size_t at : {kStartOfImage, std::size_t{20}}) {
        const at::Tensor image = decode_image(with_insert(plain, at, xmp + app1), "x.jpg");
        CHECK(image.sizes() == at::IntArrayRef({3, orientation >= 5 ? 9 : 7, orientation >= 5 ? 7 : 9}));
        CHECK(image.permute({1, 2, 0}).is_contiguous());
        CHECK(image.equal(turned(kColourJpeg, orientation)));
        const at::Tensor stored = decode_image(with_insert(plain, at, xmp + app1), "x.jpg", Exif::kIgnore);
        CHECK(stored.equal(decode_image(plain, "x.jpg")));
      }
    }
  }
}

TEST_CASE("a PNG is turned upright by its eXIf chunk, before the pixels or after them") {
  const std::string plain = file_of(kColourPng);
  for (int orientation = 1; orientation <= 8; ++orientation) {
    CAPTURE(orientation);
    const std::string chunk = png_chunk("eXIf", exif_with(static_cast<std::uint32_t>(orientation)));
    for (const std::size_t at : {kPngHeader, plain.size() - 12}) {
      CHECK(decode_image(with_insert(plain, at, chunk), "x.png").equal(turned(kColourPng, orientation)));
      const at::Tensor stored = decode_image(with_insert(plain, at, chunk), "x.png", Exif::kIgnore);
      CHECK(stored.equal(turned(kColourPng, 1)));
    }
  }
  const std::string prefixed = png_chunk("eXIf", std::string("Exif\0\0", 6) + exif_with(6));
  CHECK(decode_image(with_insert(plain, kPngHeader, prefixed), "x.png").equal(turned(kColourPng, 6)));
}

TEST_CASE("what stands in a PNG beside its pixels need not be well-formed") {
  const std::string plain = file_of(kColourPng);
  std::string damaged = png_chunk("tEXt", "damaged");
  damaged.back() ^= 1;
  const std::string twice = png_chunk("gAMA", "1234");
  for (const std::string& chunk : {damaged, twice + twice, png_chunk("tEXt", ""), png_chunk("iCCP", "no profile"),
                                   png_chunk("pHYs", "short"), png_chunk("quIx", std::string(70'000, 'x'))}) {
    CAPTURE(chunk.substr(4, 4));
    CHECK(is_as_stored(with_insert(plain, kPngHeader, chunk), kColourPng));
    CHECK(is_as_stored(with_insert(plain, plain.size() - 12, chunk), kColourPng));
  }
  CHECK(refused(with_insert(plain, kPngHeader, png_chunk("QuIx", "critical, and unknown")), "PNG"));
}

TEST_CASE("EXIF that is malformed leaves the image as it is stored") {
  const std::string exif("Exif\0\0", 6), six = exif_with(6);
  for (const std::string& tiff :
       {std::string(), std::string("II"), std::string("II*\0", 4), std::string("MM\0*", 4), std::string(200, '\xff'),
        six.substr(0, 10), six.substr(0, 19), "XX" + six.substr(2), exif_with(6, {.directory = 0xfffffff0}),
        exif_with(0), exif_with(9), exif_with(6, {.type = 7})}) {
    CAPTURE(tiff.size());
    CHECK(is_as_stored(with_insert(file_of(kColourJpeg), kStartOfImage, segment('\xe1', exif + tiff)), kColourJpeg));
    CHECK(is_as_stored(with_insert(file_of(kColourPng), kPngHeader, png_chunk("eXIf", tiff)), kColourPng));
  }
  CHECK(is_as_stored(with_insert(file_of(kColourJpeg), kStartOfImage, segment('\xe1', "Exif")), kColourJpeg));
  CHECK(is_as_stored(with_insert(file_of(kColourJpeg), kStartOfImage, segment('\xe1', six)), kColourJpeg));
}

TEST_CASE("of 16-bit samples the high byte is kept: grey, grey with alpha, colour, colour with alpha") {
  // 256 x 1 pixels: samples 0x0000, 0x0101 … 0xffff, and as many with a low byte that rounding would carry.
  for (const auto& [colour_type, channels] : {std::pair(0, 1), {4, 2}, {2, 3}, {6, 4}}) {
    for (const int low : {0x00, 0xff}) {
      CAPTURE(colour_type);
      std::string rows(1, '\0');
      for (int x = 0; x < 256; ++x) {
        for (int c = 0; c < channels; ++c) rows += {static_cast<char>(x), static_cast<char>(low)};
      }
      const auto size = static_cast<std::uint16_t>(rows.size());  // one stored block of deflate
      std::string zlib{'\x78', '\x01', '\x01'};
      for (const std::uint16_t field : {size, static_cast<std::uint16_t>(~size)})
        zlib += {static_cast<char>(field & 255), static_cast<char>(field >> 8)};
      std::uint32_t a = 1, b = 0;  // Adler-32
      for (const char byte : rows) {
        a = (a + static_cast<std::uint8_t>(byte)) % 65521;
        b = (b + a) % 65521;
      }
      zlib += rows + std::string{static_cast<char>(b >> 8), static_cast<char>(b), static_cast<char>(a >> 8),
                                 static_cast<char>(a)};
      const std::string header{0, 0, 1, 0, 0, 0, 0, 1, 16, static_cast<char>(colour_type), 0, 0, 0};
      const at::Tensor image = decode_image(
          "\x89PNG\r\n\x1a\n" + png_chunk("IHDR", header) + png_chunk("IDAT", zlib) + png_chunk("IEND", ""), "x.png");
      CHECK(image.equal(at::arange(256).to(at::kByte).reshape({1, 1, 256}).expand({3, 1, 256})));
    }
  }
}

TEST_CASE("what is no image is refused by its kind") {
  CHECK(refused("", "an empty file"));
  CHECK(refused("GIF89a\x01", "a GIF"));
  CHECK(refused(std::string("RIFF\x10\0\0\0WEBPVP8 ", 16), "a WebP"));
  CHECK(refused(std::string("\0\0\0\x1c"
                            "ftypavif",
                            12),
                "an AVIF"));
  CHECK(refused("BM1234", "a BMP"));
  CHECK(refused(std::string("II*\0", 4), "a TIFF"));
  CHECK(refused("\n <!doctype html><html>", "HTML"));
  CHECK(refused("version https://git-lfs.github.com/spec/v1", "Git LFS"));
  CHECK(refused("\xff\xd8", "expected a JPEG, PNG, WebP"));
  CHECK(refused("\x89PNG", "expected a JPEG, PNG, WebP"));
  CHECK(refused(std::string("\x01\n\x02", 3), "expected a JPEG, PNG, WebP"));
}

TEST_CASE("an image cut at any byte is refused, by name") {
  for (const Sample& sample : kSamples) {
    CAPTURE(sample.name);
    const std::string whole = bytes_of(sample.file);
    // The last 12 bytes of a PNG are an empty end chunk: every pixel is there without them.
    const std::size_t needed = whole.size() - (whole.starts_with("\x89PNG") ? 12 : 0);
    for (std::size_t size = 0; size < needed; ++size) {
      CAPTURE(size);
      CHECK(message_of(whole.substr(0, size)).starts_with("x.jpg: got "));
    }
    for (std::size_t size = needed; size < whole.size(); ++size)
      CHECK(pixels_of(decode_image(whole.substr(0, size), "no end chunk")) == pixels_of(decode_image(whole, "whole")));
  }
}

TEST_CASE("a flipped byte gives an Error or an image, never a crash") {
  for (const Sample& sample : kSamples) {
    CAPTURE(sample.name);
    const std::string whole = bytes_of(sample.file);
    for (std::size_t i = 0; i < whole.size(); ++i) {
      for (const int flip : {0x01, 0x80, 0xff}) {
        std::string broken = whole;
        broken[i] = static_cast<char>(broken[i] ^ flip);
        const std::string message = message_of(broken);
        CHECK((message.empty() || message.starts_with("x.jpg: ")));
      }
    }
  }
}

TEST_CASE("decompression bombs and empty images are refused by their header") {
  CHECK(refused(with_jpeg_size(file_of(kColourJpeg), 65'000, 65'000), "65000 x 65000"));
  CHECK(refused(with_jpeg_size(file_of(kProgressiveJpeg), 65'000, 65'000), "65000 x 65000"));
  CHECK(refused(with_png_size(file_of(kColourPng), 65'000, 65'000), "65000 x 65000"));
  CHECK(refused(with_png_size(file_of(kColourPng), 2'000'000'000, 1), "corrupt"));
  CHECK(refused(with_jpeg_size(file_of(kColourJpeg), 0, 9), "JPEG"));
  CHECK(refused(with_jpeg_size(file_of(kColourJpeg), 7, 0), "JPEG"));
  CHECK(refused(with_png_size(file_of(kColourPng), 0, 9), "PNG"));
  CHECK(refused(with_png_size(file_of(kColourPng), 7, 0), "PNG"));
  CHECK(refused(with_png_size(file_of(kColourPng), 8, 9), "PNG"));  // more rows than there are
}

TEST_CASE("a JPEG that goes over a large image in very many scans is refused by their number") {
  const std::string plain = file_of(kProgressiveJpeg);
  std::string scans;
  for (int i = 0; i < 400; ++i) scans += std::string("\xff\xda\0\2", 4);  // they need not be whole to be counted
  const std::string many = with_insert(plain, plain.size() - 2, scans);
  CHECK(refused(with_jpeg_size(many, 10'000, 10'000), "got a JPEG of 10000 x 10000 pixels in 4"));
  CHECK(refused(with_jpeg_size(many, 10'000, 10'000), "expected at most 28 scans for this size"));
  const std::string like_the_end = with_insert(plain, plain.size() - 2, segment('\xda', "\xff\xd9") + scans);
  CHECK(refused(with_jpeg_size(like_the_end, 10'000, 10'000), "expected at most 28 scans for this size"));
  CHECK_FALSE(refused(many, "scans"));  // a small one may have them, though not empty ones
  // Neither what a telephone appends counts, nor what stands in a segment, such as a thumbnail.
  CHECK_FALSE(refused(with_jpeg_size(plain + scans, 10'000, 10'000), "scans"));
  CHECK_FALSE(refused(with_jpeg_size(with_insert(plain, 20, segment('\xe2', scans)), 10'000, 10'000), "scans"));
  CHECK(is_as_stored(plain + scans, kProgressiveJpeg));
}

TEST_CASE("corrupt image data is refused") {
  std::string png = file_of(kColourPng);
  png[png.find("IDAT") + 8] ^= 0x55;
  CHECK(refused(png, "PNG that is corrupt"));
  std::string jpeg = file_of(kColourJpeg);
  for (std::size_t i = jpeg.size() - 12; i < jpeg.size() - 2; i += 2)
    jpeg.replace(i, 2, "\xff\0", 2);  // no code is all ones
  CHECK(refused(jpeg, "JPEG that is corrupt"));
}
