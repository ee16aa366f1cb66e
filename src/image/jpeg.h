// JPEG (ITU-T T.81) via libjpeg-turbo with its defaults, which are also PIL's: the accurate integer DCT and smooth
// upsampling.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <string_view>

#include "lorikeet/training_options.h"

namespace lorikeet {

/// Returns uint8 (H, W, 3), RGB, with the EXIF orientation applied if `exif` says so. Throws Error, starting with
/// `where`, for corrupt, truncated or unsupported data, and for an image that exceeds the limits of image/decode.h.
at::Tensor decode_jpeg(std::string_view bytes, const std::string& where, Exif exif);

}  // namespace lorikeet
