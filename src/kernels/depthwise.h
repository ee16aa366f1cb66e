// Depthwise convolutions with constant weights, and the gradient to their input, in float32 and bfloat16. They are
// limited by memory, so what precedes and follows joins the same pass: padding of any kind, bias, residual and clamp
// with its mask; for the gradient, that mask. The result depends neither on threads nor on the other images.
// Thread-safe.
#pragma once

#include <ATen/core/Tensor.h>

#include "graph/graph.h"
#include "kernels/depthwise_simd.h"
#include "kernels/epilogue.h"

namespace lorikeet {

/// Whether the functions below compute this convolution of pixels of this type.
bool has_depthwise(const Conv2d& conv, const at::TensorOptions& pixels);

/// The weights for the functions below, float32: (channels, 1, kernel, kernel) → (kernel, kernel, channels).
at::Tensor depthwise_weights(const at::Tensor& weight);

/// x (images, channels, height, width), channels-last → (images, channels, out_height, out_width), channels-last,
/// followed by `after` if it is given. If `kept` is too, sets it to what activation_gradient() needs.
at::Tensor depthwise_conv(const at::Tensor& x, const at::Tensor& weights, const DepthwiseShape& shape,
                          const Epilogue* after = nullptr, at::Tensor* kept = nullptr);

/// grad (images, channels, out_height, out_width), channels-last → the gradient to x, channels-last. With the
/// packed_mask() of the convolution's output, grad is that to its activation.
at::Tensor depthwise_gradient(const at::Tensor& grad, const at::Tensor& weights, const DepthwiseShape& shape,
                              const at::Tensor& mask = {});

}  // namespace lorikeet
