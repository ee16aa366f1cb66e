// What follows a convolution, in one pass over its output: bias, residual sum, activation; and what the activation's
// gradient needs, one bit an element instead of the output itself.
#pragma once

#include <ATen/core/Tensor.h>

#include "engine/fusion.h"

namespace lorikeet {

/// y = clamp(y + bias + residual), in place. y (N, C, H, W), channels-last; bias (C,) float32; residual like y, or undefined.
/// Gives the mask where `masked` and the clamp is active: which elements lay strictly between the bounds. Opaque.
at::Tensor finish_(const at::Tensor& y, const at::Tensor& bias, const at::Tensor& residual, const Clamp& clamp, bool masked);

/// grad where the mask has a one, elsewhere 0; a new tensor, channels-last. An undefined mask passes everything.
at::Tensor mask_gradient(const at::Tensor& grad, const at::Tensor& mask);

}  // namespace lorikeet
