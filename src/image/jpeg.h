// JPEG (ITU-T T.81) by libjpeg-turbo, with its defaults, which are PIL's: the accurate integer DCT and smooth
// upsampling.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <string_view>

namespace lorikeet {

/// uint8 (H, W, 3), R G B, turned upright by EXIF. Throws Error, beginning with `where`, for data that are corrupt,
/// truncated or not supported, and for an image over the limits of image/decode.h.
at::Tensor decode_jpeg(std::string_view bytes, const std::string& where);

}  // namespace lorikeet
