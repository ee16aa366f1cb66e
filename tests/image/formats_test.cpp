// WebP, BMP, GIF and TIFF; tests/reference/images_test.py compares more of them with Pillow.
#include <doctest/doctest.h>

#include <cstdint>
#include <string>

#include "image/decode.h"
#include "image/format_samples.h"
#include "image/samples.h"
#include "refusal.h"

using namespace lorikeet;

namespace {

std::string decoded_format(const std::string& bytes) {
  const at::Tensor rows = decode_image(bytes, "x").permute({1, 2, 0}).contiguous();
  return {static_cast<const char*>(rows.const_data_ptr()), rows.nbytes()};
}

// The reason, if `bytes` are refused, else nothing.
std::string format_refusal(const std::string& bytes) {
  try {
    decode_image(bytes, "x");
  } catch (const Error& error) {
    return error.what();
  }
  return {};
}

std::string little_endian(std::uint64_t value, int size) {
  std::string out;
  for (int i = 0; i < size; ++i) out += static_cast<char>(value >> (8 * i));
  return out;
}

}  // namespace

TEST_CASE("the pixels of other formats are Pillow's") {
  for (const FormatSample& sample : kFormatSamples) {
    CAPTURE(sample.name);
    CHECK(decoded_format(bytes_of(sample.file)) == bytes_of(sample.pixels));
  }
}

TEST_CASE("a cut or flipped file of another format gives an Error or an image, never a crash") {
  for (const FormatSample& sample : kFormatSamples) {
    const std::string name = sample.name;
    CAPTURE(name);
    const std::string whole = bytes_of(sample.file);
    for (std::size_t size = 0; size < whole.size(); ++size) {
      CAPTURE(size);
      const std::string message = format_refusal(whole.substr(0, size));
      CHECK((message.empty() || message.starts_with("x: got ")));
      if (size < whole.size() / 2) CHECK(!message.empty());
    }
    for (std::size_t i = 0; i < whole.size(); ++i) {
      for (const int flip : {0x01, 0x80, 0xff}) {
        std::string broken = whole;
        broken[i] = static_cast<char>(broken[i] ^ flip);
        const std::string message = format_refusal(broken);
        CHECK((message.empty() || message.starts_with("x: ")));
      }
    }
  }
}

TEST_CASE("headers of 50,000 x 50,000 pixels are refused before any allocation") {
  const std::string side = little_endian(50'000, 4), bomb = "50000 x 50000 pixels";
  const std::string bmp = "BM" + little_endian(100, 4) + little_endian(0, 4) + little_endian(54, 4) +
                          little_endian(40, 4) + side + side + little_endian(1, 2) + little_endian(24, 2) +
                          std::string(24, '\0');
  CHECK(format_refusal(bmp) == has(bomb));
  CHECK(format_refusal("GIF89a" + little_endian(50'000, 2) + little_endian(50'000, 2) + std::string("\0\0\0,", 4) +
                       std::string(4, '\0') + little_endian(1, 2) + little_endian(1, 2) + std::string(9, '\0')) ==
        has(bomb));
  const auto field = [](int tag, std::uint64_t value) {
    return little_endian(static_cast<std::uint64_t>(tag), 2) + little_endian(4, 2) + little_endian(1, 4) +
           little_endian(value, 4);
  };
  CHECK(format_refusal(std::string("II*\0", 4) + little_endian(8, 4) + little_endian(4, 2) + field(256, 50'000) +
                       field(257, 50'000) + field(273, 8) + field(279, 8) + little_endian(0, 4)) == has(bomb));
  // WebP's sides have 14 bits, or 24 in the extended format.
  const std::string extended = "WEBPVP8X" + little_endian(10, 4) + little_endian(0, 4) + little_endian(49'999, 3) +
                               little_endian(49'999, 3) + "VP8L" + little_endian(5, 4) + std::string("\x2f\0\0\0\0", 5);
  CHECK(format_refusal("RIFF" + little_endian(extended.size(), 4) + extended) == has("x: got a"));
}
