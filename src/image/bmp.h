// BMP (Windows and OS/2 bitmaps), read here because Debian has no library for it alone: 1, 4, 8, 16, 24 and 32 bits
// per pixel, bit fields, and run-length encoding of 4 and 8 bits.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <string_view>

namespace lorikeet {

/// Returns uint8 (H, W, 3), RGB; alpha is dropped. Throws Error, starting with `where`, for corrupt, truncated or
/// unsupported data, and for an image that exceeds the limits of image/decode.h.
at::Tensor decode_bmp(std::string_view bytes, const std::string& where);

}  // namespace lorikeet
