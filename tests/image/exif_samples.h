// EXIF data with an orientation, well-formed or malformed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

constexpr std::size_t kExifHeader = 8;

struct ExifOptions {
  bool big_endian = false;
  std::uint32_t type = 3;  // SHORT
  std::uint32_t count = 1;
  std::uint32_t directory = kExifHeader;
  std::uint32_t others_before = 0;
};

/// From the byte order mark on.
inline std::string exif_with(std::uint32_t orientation, const ExifOptions& options = {}) {
  std::string out = options.big_endian ? "MM" : "II";
  const auto add = [&](std::uint32_t value, int size) {
    for (int i = 0; i < size; ++i) out += static_cast<char>(value >> 8 * (options.big_endian ? size - 1 - i : i));
  };
  const auto add_entry = [&](std::uint32_t tag, std::uint32_t value) {
    add(tag, 2);
    add(options.type, 2);
    add(options.count, 4);
    const bool is_short = options.type == 3 && options.big_endian;  // on the left of its four bytes
    add(is_short ? value << 16 : value, 4);
  };
  add(42, 2);
  add(options.directory, 4);
  add(options.others_before + 1, 2);
  for (std::uint32_t i = 0; i < options.others_before; ++i) add_entry(0x0100 + i, 7);
  add_entry(0x0112, orientation);
  add(0, 4);  // no other directory
  return out;
}
