// The orientation that a camera writes beside its pixels: tag 0x0112 of EXIF (CIPA DC-008), in APP1 of a JPEG and in
// the eXIf chunk of a PNG. Viewers and PIL's ImageOps.exif_transpose turn the image by it; torchvision's ImageFolder
// does not. Metadata is optional: whatever is malformed counts as absent.
#pragma once

#include <ATen/core/Tensor.h>

#include <string_view>

namespace lorikeet {

constexpr int kUpright = 1;
/// Precedes the content in APP1 of a JPEG; some programs write it into a PNG's eXIf, too.
constexpr std::string_view kExifPrefix("Exif\0\0", 6);

/// 1 … 8. `tiff` is the content of EXIF from its byte order mark ("II*\0" or "MM\0*") on. kUpright where it is
/// malformed, says nothing of the orientation, or gives a value outside the range.
int exif_orientation(std::string_view tiff);

/// uint8 (H, W, 3), contiguous, as a viewer shows it: (H, W, 3), or (W, H, 3) for the orientations 5 to 8.
at::Tensor upright(const at::Tensor& pixels, int orientation);

}  // namespace lorikeet
