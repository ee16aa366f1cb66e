// Real numbers stored as uint8 with one scale and one zero per tensor: channels-last images, on the CPU.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "kernels/epilogue.h"
#include "ops/pooling.h"

namespace lorikeet {

/// Maps real numbers to uint8: real = scale · (stored − zero).
struct Quantization {
  double scale = 1;
  std::int64_t zero = 0;
};

/// x (N, C, H, W), float32 or bfloat16 → the nearest stored values, channels-last. NaN becomes the least.
at::Tensor quantized(const at::Tensor& x, const Quantization& q);
/// The inverse, float32 or bfloat16.
at::Tensor dequantized(const at::Tensor& stored, const Quantization& q, at::ScalarType type);

/// The argument of activation_gradient() for a clamped output y, given as stored. A bound outside of the range of `q`
/// clamps nothing.
at::Tensor clamp_mask(const at::Tensor& y, const Quantization& q, const Clamp& clamp);

/// The maximum of each window of stored values, (N, C, H, W), channels-last, which keep their quantization. ATen has no
/// max-pooling of uint8.
at::Tensor max_pooled(const at::Tensor& stored, const MaxPool2d& pool);

}  // namespace lorikeet
