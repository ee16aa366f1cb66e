// GIF (87a and 89a) via giflib: the first frame.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <string_view>

namespace lorikeet {

/// Returns uint8 (H, W, 3), RGB. Where the first frame does not cover the canvas, pixels have the transparent colour,
/// else colour 0, as in PIL. Transparency is dropped. Throws Error, starting with `where`, for corrupt or truncated
/// data, and for an image that exceeds the limits of image/decode.h.
at::Tensor decode_gif(std::string_view bytes, const std::string& where);

}  // namespace lorikeet
