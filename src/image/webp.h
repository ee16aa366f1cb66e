// WebP (RFC 9649) via libwebp: lossy, lossless, and the first frame of an animation.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <string_view>

#include "lorikeet/training_options.h"

namespace lorikeet {

/// Returns uint8 (H, W, 3), RGB, with the EXIF orientation applied if `exif` says so; alpha is dropped. Throws Error,
/// starting with `where`, for corrupt or truncated data, and for an image that exceeds the limits of image/decode.h.
at::Tensor decode_webp(std::string_view bytes, const std::string& where, Exif exif);

}  // namespace lorikeet
