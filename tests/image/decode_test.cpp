#include "image/decode.h"

#include <doctest/doctest.h>

#include <array>
#include <cstring>
#include <string>
#include <string_view>

#include "base/file.h"
#include "image/samples.h"
#include "lorikeet/error.h"
#include "temporary_folder.h"

using namespace lorikeet;

namespace {

constexpr std::size_t kColourJpeg = 1, kProgressiveJpeg = 2, kColourPng = 8;

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
  CHECK(pixels_of(decode_image(file_of(kColourJpeg) + "trailing", "something after the end marker")) == pixels);
}

TEST_CASE("what is neither JPEG nor PNG is refused by its kind") {
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
  CHECK(refused("\xff\xd8", "expected a JPEG or a PNG"));
  CHECK(refused("\x89PNG", "expected a JPEG or a PNG"));
  CHECK(refused(std::string("\x01\n\x02", 3), "expected a JPEG or a PNG"));
}

TEST_CASE("an image cut at any byte is refused, by name") {
  for (const Sample& sample : kSamples) {
    CAPTURE(sample.name);
    const std::string whole = bytes_of(sample.file);
    // The last four bytes of a PNG are the checksum of an empty end chunk: every pixel is there without them.
    const std::size_t needed = whole.size() - (whole.starts_with("\x89PNG") ? 4 : 0);
    for (std::size_t size = 0; size < needed; ++size) {
      CAPTURE(size);
      CHECK(message_of(whole.substr(0, size)).starts_with("x.jpg: got "));
    }
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
  std::string many = file_of(kProgressiveJpeg);
  for (int i = 0; i < 400; ++i) many += "\xff\xda";  // they need not be whole to be counted
  CHECK(refused(with_jpeg_size(many, 10'000, 10'000), "got a JPEG of 10000 x 10000 pixels in 4"));
  CHECK(refused(with_jpeg_size(many, 10'000, 10'000), "expected at most 28 scans for this size"));
  CHECK(pixels_of(decode_image(many, "a small one")) == bytes_of(kSamples[kProgressiveJpeg].pixels));
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
