// Encoded images to pixels: JPEG (image/jpeg.h) and PNG (image/png.h). The pixels equal those of PIL's
// `ImageOps.exif_transpose(Image.open(f)).convert("RGB")`, with one exception: 16-bit grey keeps its high byte, as
// 16-bit colour does, where Pillow clips it at 255. torchvision's ImageFolder ignores the EXIF orientation; here a
// photograph is upright, as every viewer shows it. An alpha channel or a transparent colour is dropped, not blended.
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

/// Throws Error, beginning with `where`, where a side is 0 or the image is over the limits.
void check_image_size(std::int64_t width, std::int64_t height, const std::string& where);

/// The format is recognised by content. `where` begins the message of an Error: truncated or corrupt data, something
/// that is neither JPEG nor PNG, an image over the limits.
at::Tensor decode_image(std::string_view bytes, const std::string& where);

/// Reads and decodes a file of at most 256 MiB.
at::Tensor read_image(const std::filesystem::path& path);

/// Why read_image would refuse a file, where that can be seen from its two ends; empty otherwise. A file with an
/// unusual end is read to be sure. Damage inside an image goes unnoticed.
std::string image_problem(const std::filesystem::path& path);

}  // namespace lorikeet
