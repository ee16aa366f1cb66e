#include "image/png.h"

#include <ATen/Functions.h>
#include <spng.h>

#include <cstdint>
#include <memory>

#include "base/error.h"
#include "image/decode.h"
#include "image/exif.h"

namespace lorikeet {
namespace {

constexpr std::size_t kSignature = 8;    // bytes
constexpr std::size_t kChunkFrame = 12;  // bytes of a chunk in addition to its content: length, type, checksum
constexpr std::string_view kEndChunk("\0\0\0\0IEND\xae\x42\x60\x82", 12);

// A PNG without its ancillary chunks (text, profiles, animation frames). These do not affect the pixels, so malformed
// ones are harmless. Only EXIF is used. A file that ends early gets an end: if pixels are missing, libspng reports it.
struct PngParts {
  std::string critical;
  std::string_view exif;
};

PngParts split_png(std::string_view bytes) {
  PngParts out{std::string(bytes.substr(0, kSignature)), {}};
  std::size_t at = kSignature;
  while (bytes.size() - at >= kChunkFrame) {
    std::size_t length = 0;
    for (std::size_t i = 0; i < 4; ++i) length = length << 8 | static_cast<std::uint8_t>(bytes[at + i]);
    if (length > bytes.size() - at - kChunkFrame) break;
    const std::string_view chunk = bytes.substr(at, length + kChunkFrame), type = chunk.substr(4, 4);
    const bool is_ancillary = (type[0] & 0x20) != 0;
    if (!is_ancillary) out.critical += chunk;
    if (type == "eXIf" && out.exif.empty()) out.exif = chunk.substr(8, length);
    at += chunk.size();
    if (type == "IEND") return out;
  }
  out.critical += kEndChunk;
  return out;
}

}  // namespace

at::Tensor decode_png(std::string_view bytes, const std::string& where, Exif exif) {
  const std::unique_ptr<spng_ctx, void (*)(spng_ctx*)> context(spng_ctx_new(0), spng_ctx_free);
  if (!context) fail(where, ": cannot be decoded: out of memory.");
  const auto check = [&](int error) {
    if (error != 0)
      fail(where, ": got a PNG that is corrupt or truncated (", spng_strerror(error), "), expected an intact one.");
  };
  const PngParts parts = split_png(bytes);
  check(spng_set_image_limits(context.get(), kMaxSide, kMaxSide));
  check(spng_set_png_buffer(context.get(), parts.critical.data(), parts.critical.size()));
  spng_ihdr header{};
  check(spng_get_ihdr(context.get(), &header));
  check_image_size(header.width, header.height, where);

  at::Tensor pixels = at::empty({header.height, header.width, 3}, at::TensorOptions().dtype(at::kByte));
  std::size_t expected = 0;
  check(spng_decoded_image_size(context.get(), SPNG_FMT_RGB8, &expected));
  if (expected != pixels.nbytes())
    fail(where, ": got a PNG of ", expected, " bytes of pixels, expected ", pixels.nbytes(), ".");
  check(spng_decode_image(context.get(), pixels.data_ptr(), pixels.nbytes(), SPNG_FMT_RGB8, 0));
  check(spng_decode_chunks(context.get()));
  if (exif == Exif::kIgnore) return pixels;
  std::string_view chunk = parts.exif;
  if (chunk.starts_with(kExifPrefix)) chunk.remove_prefix(kExifPrefix.size());
  return upright(pixels, exif_orientation(chunk));
}

}  // namespace lorikeet
