// Decodes JPEG, PNG, WebP, BMP, and the first frame of a GIF or page of a TIFF; each has its own header. The pixels
// equal those of PIL's `ImageOps.exif_transpose(Image.open(f)).convert("RGB")` with one exception: 16-bit grey keeps
// its high byte, as 16-bit colour does, where Pillow clips it at 255. With Exif::kIgnore, which is torchvision's way,
// exif_transpose is left out. Alpha channels and transparent colours are dropped, not blended.
//
// An image is a uint8 tensor (3, H, W), RGB, interleaved in memory (strides 1, 3·W, 3): the layout of the decoders and
// of channels-last networks. All functions are thread-safe.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "lorikeet/training_options.h"

namespace lorikeet {

/// Larger images are rejected before any allocation. PIL's limit for a decompression bomb.
constexpr std::int64_t kMaxPixels = 178'956'970;
constexpr std::int64_t kMaxSide = 65'535;
/// Maximum of pixels times scans. Each scan of a progressive JPEG, which can be a few bytes, processes all pixels.
/// Cameras and encoders write about ten scans.
constexpr std::int64_t kMaxScannedPixels = 16 * kMaxPixels;

/// Throws Error, starting with `where`, if a side is 0 or the image exceeds the limits.
void check_image_size(std::int64_t width, std::int64_t height, const std::string& where);

/// Detects the format from the content. Throws Error, starting with `where`, for truncated or corrupt data, another
/// format, or an image that exceeds the limits.
at::Tensor decode_image(std::string_view bytes, const std::string& where, Exif exif = Exif::kApply);

/// Reads and decodes a file of at most 256 MiB.
at::Tensor read_image(const std::filesystem::path& path, Exif exif = Exif::kApply);

struct ImageCheck {
  /// Why read_image would reject the file, starting with its path; empty if it would not.
  std::string problem = {};
  /// Whether a file without a problem ends before the mark of its end, although all pixels are there: a PNG without
  /// IEND, a GIF without trailer, a BMP shorter than it says. It may have been cut.
  bool lacks_end = false;
};

/// Checks the start and the end of a file. A file with an unusual end is decoded. Damage inside an image is not
/// detected.
ImageCheck check_image(const std::filesystem::path& path);

}  // namespace lorikeet
