// Input images: a file, an encoded image in memory, or pixels in memory.
//
//   model.predict({"rex.jpg"});
//   model.predict({lorikeet::EncodedImage{std::as_bytes(std::span(upload)), "upload 7"}});
//   model.predict({lorikeet::RgbImage{.pixels = {frame.data(), frame.size()}, .width = 640, .height = 480}});
//
// The last two refer to the caller's memory, which must stay valid and unchanged until the call returns.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <variant>

namespace lorikeet {

/// The bytes of a JPEG or PNG file.
struct EncodedImage {
  std::span<const std::byte> bytes = {};
  /// Prefix of error messages. Empty: "images[INDEX]".
  std::string name = {};
};

/// RGB pixels of three bytes each, rows from top to bottom.
struct RgbImage {
  /// At least (height - 1) * stride + 3 * width bytes.
  std::span<const std::uint8_t> pixels = {};
  /// In pixels, 1 to 65,535.
  std::int64_t width = 0;
  std::int64_t height = 0;
  /// Bytes from one row to the next, at least 3 * width. 0: 3 * width.
  std::int64_t stride = 0;
};

/// A path names a JPEG or PNG file. The format is detected from the content.
using Image = std::variant<std::filesystem::path, EncodedImage, RgbImage>;

}  // namespace lorikeet
