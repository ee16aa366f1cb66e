// The EXIF orientation of an image: tag 0x0112 (CIPA DC-008) in APP1 of a JPEG and in the eXIf chunk of a PNG. Viewers
// and PIL's ImageOps.exif_transpose apply it; torchvision's ImageFolder does not. Malformed metadata is ignored.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <string_view>

namespace lorikeet {

constexpr int kUpright = 1;
/// Precedes the content in APP1 of a JPEG. Some programs also write it in a PNG's eXIf.
constexpr std::string_view kExifPrefix("Exif\0\0", 6);

/// Returns the value of a tag in the first directory of a TIFF or BigTIFF (which EXIF is too), or nullopt unless the
/// tag is there with a single integer of 16, 32 or 64 bits.
std::optional<std::uint64_t> tiff_number(std::string_view tiff, std::uint32_t tag);

/// Returns 1 … 8. `tiff` is the EXIF content starting at its byte order mark ("II*\0" or "MM\0*"). Returns kUpright if
/// it is malformed, has no orientation, or has an invalid one.
int exif_orientation(std::string_view tiff);

/// Applies an orientation: uint8 (H, W, 3), contiguous, to (H, W, 3), or to (W, H, 3) for orientations 5 to 8.
at::Tensor upright(const at::Tensor& pixels, int orientation);

}  // namespace lorikeet
