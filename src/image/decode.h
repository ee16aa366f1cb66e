// JPEG (ITU-T T.81, by TurboJPEG) and PNG (by spng) to pixels equal to those of PIL's `Image.open(f).convert("RGB")`,
// which is what torchvision's ImageFolder loads. As there, the EXIF orientation is ignored, an alpha channel or
// transparent colour is dropped rather than blended, and 16-bit grey is cut at 255 where 16-bit colour keeps its high
// byte.
//
// An image of H rows is a uint8 tensor (3, H, W), R G B, interleaved in memory (strides 1, 3·W, 3): the layout that the
// decoders write and that a channels-last network reads. All functions are thread-safe.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace lorikeet {

/// More pixels than these are refused before anything is allocated: PIL's limit for a decompression bomb.
constexpr std::int64_t kMaxPixels = 178'956'970;
constexpr std::int64_t kMaxSide = 65'535;
/// A progressive JPEG goes over all of its pixels in each scan, and needs but a few bytes for it: pixels times scans,
/// at most. Cameras and encoders write about ten scans.
constexpr std::int64_t kMaxScannedPixels = 16 * kMaxPixels;

/// The format is recognised by content. `where` begins the message of an Error: truncated or corrupt data, something
/// that is neither JPEG nor PNG, an image over the limits.
at::Tensor decode_image(std::string_view bytes, const std::string& where);

/// Reads and decodes a file of at most 256 MiB.
at::Tensor read_image(const std::filesystem::path& path);

}  // namespace lorikeet
