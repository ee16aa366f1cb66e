// What follows a convolution, in one pass over its output: bias, residual sum, activation; and what the activation's
// gradient needs, one bit an element instead of the output itself.
#pragma once

#include <ATen/core/Tensor.h>

#include <limits>

namespace lorikeet {

/// The bounds of an activation: relu (0, ∞), relu6 (0, 6), none (−∞, ∞).
struct Clamp {
  float low = -std::numeric_limits<float>::infinity();
  float high = std::numeric_limits<float>::infinity();

  bool active() const {
    return low > -std::numeric_limits<float>::infinity() || high < std::numeric_limits<float>::infinity();
  }
};

/// y → clamp(y + bias + residual).
struct Epilogue {
  at::Tensor bias;      // (C,) float32
  at::Tensor residual;  // like y, or undefined
  Clamp clamp;
};

/// Applies it to y (N, C, H, W), channels-last, in place. Gives the mask where `masked` and the clamp is active: which
/// elements lay strictly between the bounds. Opaque.
at::Tensor apply_epilogue_(const at::Tensor& y, const Epilogue& after, bool masked);

/// grad where the mask has a one, elsewhere 0; a new tensor, channels-last. An undefined mask passes everything.
at::Tensor mask_gradient(const at::Tensor& grad, const at::Tensor& mask);

}  // namespace lorikeet
