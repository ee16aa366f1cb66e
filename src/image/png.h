// PNG (ISO/IEC 15948) via libspng.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <string_view>

#include "lorikeet/training_options.h"

namespace lorikeet {

/// Returns uint8 (H, W, 3), RGB, with the EXIF orientation applied if `exif` says so. 16-bit samples, grey or colour,
/// keep the high byte, as with libpng's png_set_strip_16; 1, 2 and 4 bits are scaled to 0 … 255; alpha and transparent
/// colours are dropped. Throws Error, starting with `where`, for corrupt or truncated data, and for an image that
/// exceeds the limits of image/decode.h.
at::Tensor decode_png(std::string_view bytes, const std::string& where, Exif exif);

}  // namespace lorikeet
