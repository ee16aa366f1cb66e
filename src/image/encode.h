// Encodes pixels as PNG files.
#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>

namespace lorikeet {

/// Writes uint8 (3, H, W) atomically as an 8-bit RGB PNG.
void write_png(const at::Tensor& image, const std::filesystem::path& path);

}  // namespace lorikeet
