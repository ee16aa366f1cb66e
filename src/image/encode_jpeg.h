// Encodes pixels as JPEG, for pictures in reports.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>

namespace lorikeet {

/// Returns uint8 (3, H, W) as a JPEG of `quality` (1 to 100) without chroma subsampling.
std::string encode_jpeg(const at::Tensor& image, int quality);

}  // namespace lorikeet
