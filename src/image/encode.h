// Pixels to PNG files, for samples that people look at and that other programs read.
#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>

namespace lorikeet {

/// Writes uint8 (3, H, W) as an 8-bit RGB PNG, completely or not at all.
void write_png(const at::Tensor& image, const std::filesystem::path& path);

}  // namespace lorikeet
