// Winograd's minimal filtering F(4×4, 3×3) for convolutions of stride 1 with constant weights, in float32: 36
// multiplications for 16 output pixels instead of 144 (Lavin and Gray, "Fast Algorithms for Convolutional Neural
// Networks", 2015). Tiles are transformed, multiplied and transformed back in blocks that stay in the second-level
// cache. The relative error is at most 2e-6 of a layer's norm (docs/performance.md). Each sum has one order, so the
// result depends neither on threads nor on the other images. Thread-safe.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "kernels/epilogue.h"
#include "kernels/winograd_simd.h"

namespace lorikeet {

/// Whether it can compute a convolution of this shape, and faster than oneDNN does, by a model of both.
bool winograd_pays(const WinogradShape& shape);

/// Transforms weight (out, in, 3, 3), float32, for winograd_conv.
at::Tensor winograd_weights(const at::Tensor& weight);

/// Bytes that winograd_conv needs beside its input and output.
std::uint64_t winograd_scratch(const WinogradShape& shape);

/// x (images, in, height, width), channels-last → (images, out, out_height, out_width), channels-last, followed by
/// `after` if it is given. If `kept` is too, sets it to what activation_gradient() needs.
at::Tensor winograd_conv(const at::Tensor& x, const at::Tensor& weights, const WinogradShape& shape,
                         const Epilogue* after = nullptr, at::Tensor* kept = nullptr);

}  // namespace lorikeet
