// TIFF (and BigTIFF) via libtiff: the first page.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <string_view>

#include "lorikeet/training_options.h"

namespace lorikeet {

/// Returns uint8 (H, W, 3), RGB, with the orientation applied if `exif` says so. Grey, palette, RGB and CMYK of 1 to 16
/// bits are converted as by PIL, except that 16-bit samples keep the high byte for grey too; alpha is dropped. Other
/// colour spaces are converted by libtiff. Throws Error, starting with `where`, for corrupt, truncated or unsupported
/// data (floating-point samples), and for an image that exceeds the limits of image/decode.h.
at::Tensor decode_tiff(std::string_view bytes, const std::string& where, Exif exif);

}  // namespace lorikeet
