// Winograd's minimal filtering F(4×4, 3×3) for convolutions of stride 1 with constant weights: 36 multiplications for
// 16 output pixels instead of 144 (Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", 2015). Images
// are float32 or bfloat16, all arithmetic and the weights are float32. Tiles are transformed, multiplied and
// transformed back in blocks that stay in the second-level cache. In float32, the error is at most 2.5e-6 of a layer's
// norm with up to 512 channels (docs/performance.md), twice that of a direct convolution. Each sum has one order, so
// the result depends neither on threads nor on the other images. Thread-safe.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "kernels/epilogue.h"
#include "kernels/winograd_simd.h"

namespace lorikeet {

/// Whether it can compute a convolution of this shape, and faster than oneDNN does for images of this type, by a model
/// of both.
bool winograd_pays(const WinogradShape& shape, at::ScalarType type);
/// The same of the gradient to the input of a convolution; `shape` is the gradient's own.
bool winograd_gradient_pays(const WinogradShape& shape, at::ScalarType type);

/// Transforms weight (out, in, 3, 3), float32, for winograd_conv.
at::Tensor winograd_weights(const at::Tensor& weight);

/// Whether a gradient should use the weights of the forward convolution, because they are large. Otherwise the
/// transformed weights of the flipped filters are faster.
bool winograd_shares_weights(const WinogradShape& gradient);

/// Bytes that winograd_conv and winograd_gradient need beside its input and output.
std::uint64_t winograd_scratch(const WinogradShape& shape);

/// x (images, in, height, width), channels-last → (images, out, out_height, out_width), channels-last, followed by
/// `after` if it is given. If `kept` is too, sets it to what activation_gradient() needs.
at::Tensor winograd_conv(const at::Tensor& x, const at::Tensor& weights, const WinogradShape& shape,
                         const Epilogue* after = nullptr, at::Tensor* kept = nullptr);

/// Transformed weights for the gradient to the input of a convolution.
struct WinogradGradientWeights {
  at::Tensor values;
  /// Whether they are those of the flipped filters, with inputs and outputs exchanged, or the convolution's own.
  bool are_flipped = false;
};

/// The gradient to the input of a convolution; `shape` is the gradient's own. If `sum` is given, channels-last, adds to
/// it in place and returns it.
at::Tensor winograd_gradient(const at::Tensor& grad, const WinogradGradientWeights& weights, const WinogradShape& shape,
                             const at::Tensor& sum = {});

}  // namespace lorikeet
