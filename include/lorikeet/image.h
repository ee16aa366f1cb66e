// Input images: a file, the bytes of one, or pixels in memory.
//
//   model.predict({"rex.jpg"});
//   model.predict({lorikeet::EncodedImage{std::as_bytes(std::span(upload)), "upload 7"}});
//   model.predict({lorikeet::RgbImage{.pixels = {frame.data(), frame.size()}, .width = 640, .height = 480}});
//
// The last two refer to the caller's memory, which must stay as it is until the call returns.
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
  /// Begins the message of an Error; empty: "images[INDEX]".
  std::string name = {};
};

/// Pixels, three bytes each: red, green, blue. Rows from top to bottom.
struct RgbImage {
  /// At least (height - 1) * stride + 3 * width bytes.
  std::span<const std::uint8_t> pixels = {};
  /// In pixels, 1 to 65,535.
  std::int64_t width = 0;
  std::int64_t height = 0;
  /// Bytes from one row to the next, at least 3 * width; 0: 3 * width.
  std::int64_t stride = 0;
};

/// A path is that of a JPEG or PNG file. The format is recognised by content.
using Image = std::variant<std::filesystem::path, EncodedImage, RgbImage>;

}  // namespace lorikeet
