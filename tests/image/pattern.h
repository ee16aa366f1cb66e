// A computed image and a checksum, for results recorded from torchvision.
#pragma once

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include <cstdint>

// A pattern without symmetry; the expected checksums are of what torchvision 0.28 made of it on PIL images.
inline at::Tensor pattern(std::int64_t width, std::int64_t height) {
  const at::Tensor y = at::arange(height, at::kLong).reshape({height, 1, 1});
  const at::Tensor x = at::arange(width, at::kLong).reshape({1, width, 1});
  const at::Tensor c = at::arange(3, at::kLong).reshape({1, 1, 3});
  return (x * 7 + y * 13 + c * 101 + x * y * 3).remainder(251).to(at::kByte).permute({2, 0, 1});
}

// CRC-32 of the pixels, (H, W, 3) in memory.
inline std::uint32_t checksum(const at::Tensor& image) {
  const at::Tensor pixels = image.permute({1, 2, 0}).contiguous();
  const std::uint8_t* bytes = pixels.const_data_ptr<std::uint8_t>();
  std::uint32_t crc = ~0u;
  for (std::int64_t i = 0; i < pixels.numel(); ++i) {
    crc ^= bytes[i];
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0xedb88320u : 0u);
  }
  return ~crc;
}
