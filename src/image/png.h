// PNG (ISO/IEC 15948) by libspng.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <string_view>

namespace lorikeet {

/// uint8 (H, W, 3), R G B, turned upright by EXIF. Of 16-bit samples the high byte is kept, in grey as in colour, as
/// libpng's png_set_strip_16 does; 1, 2 and 4 bits are scaled to 0 … 255; alpha and a transparent colour are dropped.
/// Throws Error, beginning with `where`, for data that are corrupt or truncated, and for an image over the limits of
/// image/decode.h.
at::Tensor decode_png(std::string_view bytes, const std::string& where);

}  // namespace lorikeet
