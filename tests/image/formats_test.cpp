// WebP, BMP, GIF and TIFF; tests/reference/images_test.py compares more of them with Pillow.
#include <doctest/doctest.h>

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

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

using TiffTags = std::map<int, std::vector<std::uint64_t>>;

// Tags of 16-bit values: two fit into a directory entry. The strips start at byte 8.
std::string tiff_of(const TiffTags& tags, const std::string& strips) {
  const std::size_t directory = 8 + strips.size();
  std::string out = std::string("II*\0", 4) + little_endian(directory, 4) + strips + little_endian(tags.size(), 2);
  for (const auto& [tag, values] : tags) {
    out += little_endian(static_cast<std::uint64_t>(tag), 2) + little_endian(3, 2) + little_endian(values.size(), 4);
    std::string content;
    for (const std::uint64_t value : values) content += little_endian(value, 2);
    content.resize(4);
    out += content;
  }
  return out + little_endian(0, 4);
}

constexpr int kCompression = 259, kPhotometric = 262, kStripOffsets = 273, kOrientation = 274, kRowsPerStrip = 278,
              kStripByteCounts = 279;

// 2 × 4 grey pixels, a to h, in two strips.
std::string grey_tiff(const TiffTags& changed, const std::string& strips = "abcdefgh") {
  TiffTags tags{{256, {2}},          {257, {4}},           {258, {8}},
                {kCompression, {1}}, {kPhotometric, {1}},  {kStripOffsets, {8, 12}},
                {277, {1}},          {kRowsPerStrip, {2}}, {kStripByteCounts, {4, 4}}};
  for (const auto& [tag, values] : changed) {
    if (values.empty()) {
      tags.erase(tag);
    } else {
      tags[tag] = values;
    }
  }
  return tiff_of(tags, strips);
}

std::string grey_rgb(const std::string& pixels) {
  std::string out;
  for (const char pixel : pixels) out += std::string(3, pixel);
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

TEST_CASE("a TIFF whose strips are missing, short or inside something else is refused") {
  CHECK(decoded_format(grey_tiff({})) == grey_rgb("abcdefgh"));
  const std::string missing = " is missing", short_by = " bytes), expected";
  CHECK(format_refusal(grey_tiff({{kStripOffsets, {8}}})) == has(missing));
  CHECK(format_refusal(grey_tiff({{kStripByteCounts, {4}}})) == has(missing));
  CHECK(format_refusal(grey_tiff({{kStripByteCounts, {0, 4}}})) == has(missing));
  for (const std::uint64_t in_header : {0, 7})
    CHECK(format_refusal(grey_tiff({{kStripOffsets, {in_header, 12}}})) == has(missing));
  for (const auto& counts : std::vector<std::vector<std::uint64_t>>{{3, 4}, {4, 3}, {3, 3}})
    CHECK(format_refusal(grey_tiff({{kStripByteCounts, counts}})) == has("holds 3 of 4" + short_by));
  CHECK(format_refusal(grey_tiff({{kStripOffsets, {8, 14}}})) == has("strip 1 holds 2 of 4" + short_by));
  const auto single = [](std::uint64_t size) {
    return grey_tiff({{kRowsPerStrip, {4}}, {kStripOffsets, {8}}, {kStripByteCounts, {size}}});
  };
  for (const std::uint64_t size : {0, 7}) CHECK(format_refusal(single(size)) == has(" of 8" + short_by));
  // The pixels are there.
  for (const std::uint64_t size : {8, 9, 60'000}) CHECK(decoded_format(single(size)) == grey_rgb("abcdefgh"));
  CHECK(decoded_format(grey_tiff({{kStripByteCounts, {6, 4}}})) == grey_rgb("abcdefgh"));
  const TiffTags uncounted{{kRowsPerStrip, {4}}, {kStripOffsets, {8}}, {kStripByteCounts, {}}};
  CHECK(decoded_format(grey_tiff(uncounted)) == grey_rgb("abcdefgh"));
}

TEST_CASE("a strip of a TIFF that holds more rows than needed gives those needed, and one with fewer is refused") {
  const TiffTags one_strip{{257, {2}}, {kStripOffsets, {8}}};
  const auto with = [&](std::uint64_t compression, const std::string& strip, TiffTags tags) {
    tags.insert({{kCompression, {compression}}, {kStripByteCounts, {strip.size()}}});
    tags.insert(one_strip.begin(), one_strip.end());
    return grey_tiff(tags, strip);
  };
  const std::string stored = std::string("\x78\x01\x01\x08\x00\xf7\xff", 7) + "abcdefgh0000";  // zlib
  CHECK(decoded_format(with(8, stored, {})) == grey_rgb("abcd"));
  CHECK(format_refusal(with(8, stored, {{257, {8}}, {kRowsPerStrip, {8}}})) == has("corrupt or truncated"));
  // Group 4 codes a row equal to the one above as 1.
  const TiffTags fax{{256, {8}}, {257, {4}}, {258, {1}}, {kPhotometric, {0}}, {kRowsPerStrip, {4}}};
  CHECK(decoded_format(with(4, std::string("\xf0\x01\x00\x10", 4), fax)) == grey_rgb(std::string(32, '\xff')));
  CHECK(format_refusal(with(4, std::string("\xc0\x04\x00\x40", 4), fax)) == has("corrupt or truncated"));
  const std::string jpeg = bytes_of(kSamples[0].file);
  const TiffTags grey{{256, {9}}, {257, {7}}, {kRowsPerStrip, {7}}};
  CHECK(decoded_format(with(7, jpeg, grey)) == bytes_of(kSamples[0].pixels));
  for (const std::size_t cut : {2, 12})
    CHECK(format_refusal(with(7, jpeg.substr(0, jpeg.size() - cut), grey)) == has("Premature end of JPEG file"));
}

TEST_CASE("tags of a TIFF that are missing or undefined are read as Pillow reads them") {
  CHECK(format_refusal(grey_tiff({{kPhotometric, {3}}})) == has("without a ColorMap"));
  std::string inverted = "abcdefgh";
  for (char& pixel : inverted) pixel = static_cast<char>(~pixel);
  CHECK(decoded_format(grey_tiff({{kPhotometric, {}}})) == grey_rgb(inverted));
  for (const std::uint64_t orientation : {0, 9})
    CHECK(decoded_format(grey_tiff({{kOrientation, {orientation}}})) == grey_rgb("abcdefgh"));
}

TEST_CASE("the pixels of a BMP start after its headers") {
  constexpr std::size_t kOffset = 10, kColour = 3, kPalette = 4;
  const auto with_offset = [](std::size_t sample, std::uint64_t offset) {
    return bytes_of(kFormatSamples[sample].file).replace(kOffset, 4, little_endian(offset, 4));
  };
  for (const std::size_t sample : {kColour, kPalette}) {
    CHECK(decoded_format(with_offset(sample, 0)) == bytes_of(kFormatSamples[sample].pixels));
    for (const std::uint64_t offset : {1, 14, 53})
      CHECK(format_refusal(with_offset(sample, offset)) == has("inside its headers of 54 bytes"));
  }
  CHECK(decoded_format(with_offset(kPalette, 54)) == bytes_of(kFormatSamples[kPalette].pixels));
}
