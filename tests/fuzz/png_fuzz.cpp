// image/decode.h: a PNG, with the checksums of its chunks corrected first, because few inputs would pass them
// otherwise. spng itself is neither instrumented nor sanitised, but its calls of malloc and memcpy are intercepted.
#include <zlib.h>

#include <vector>

#include "image.h"

namespace {

constexpr std::size_t kSignature = 8;
constexpr std::size_t kAround = 12;  // length and type before a chunk's data, checksum after it

void store_be32(std::uint8_t* to, std::uint32_t value) {
  for (int i = 0; i < 4; ++i) to[i] = static_cast<std::uint8_t>(value >> (24 - 8 * i));
}

std::uint32_t load_be32(const std::uint8_t* from) {
  std::uint32_t value = 0;
  for (int i = 0; i < 4; ++i) value = value << 8 | from[i];
  return value;
}

void put_checksums_right(std::vector<std::uint8_t>& bytes) {
  for (std::size_t at = kSignature; bytes.size() >= at + kAround;) {
    const std::size_t length = load_be32(&bytes[at]);
    if (length > bytes.size() - at - kAround) return;
    store_be32(&bytes[at + 8 + length],
               static_cast<std::uint32_t>(crc32(0, &bytes[at + 4], static_cast<uInt>(length + 4))));
    at += kAround + length;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size > 0 && data[0] != 0x89) return -1;
  std::vector<std::uint8_t> bytes(data, data + size);
  put_checksums_right(bytes);
  return decode_whole(bytes.data(), bytes.size());
}
