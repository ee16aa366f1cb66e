// The operations after a convolution or Linear, in one pass over its output: bias, residual sum, activation. The
// activation's gradient needs one bit per element for a clamp, 24 or 16 for a smooth activation.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <limits>

#include "kernels/simd_epilogue.h"
#include "kernels/smooth_activation.h"

namespace lorikeet {

/// The bounds of an activation: relu (0, ∞), relu6 (0, 6), none (−∞, ∞).
struct Clamp {
  float low = -std::numeric_limits<float>::infinity();
  float high = std::numeric_limits<float>::infinity();

  bool active() const {
    return low > -std::numeric_limits<float>::infinity() || high < std::numeric_limits<float>::infinity();
  }
};

/// At most one of the two is active.
struct FusedActivation {
  Clamp clamp = {};
  SmoothActivation smooth = SmoothActivation::kNone;

  bool active() const { return clamp.active() || smooth != SmoothActivation::kNone; }
};

/// y → activation(y + bias + residual).
struct Epilogue {
  at::Tensor bias;      // (C,) float32
  at::Tensor residual;  // like y, or undefined
  FusedActivation activation;
};

/// Applies it in place to y (N, C, H, W), channels-last. If `keeps` and the activation is active, returns the opaque
/// argument of activation_gradient().
at::Tensor apply_epilogue_(const at::Tensor& y, const Epilogue& after, bool keeps);

/// Whether the mask of a clamp of this many channels is packed to bits. Otherwise it is a tensor of bool.
bool has_packed_mask(std::int64_t channels);
/// The uninitialised packed mask of a clamp for y (N, C, H, W), channels-last: bit i % 8 of byte i / 8 is whether
/// element i of y's memory was strictly between the bounds.
at::Tensor packed_mask(const at::Tensor& y);

/// The part of an epilogue that a kernel applies in the pass that writes its output. Any tensor may be undefined.
struct JoinedEpilogue {
  at::Tensor bias;
  at::Tensor residual;  // channels-last
  Clamp clamp;
  at::Tensor mask;  // to be written: packed_mask()
};
/// Its tensors' memory, for kernels. Element: that of the residual, or void.
template <typename Element>
SimdEpilogue<Element> simd_epilogue(const JoinedEpilogue& joined) {
  return {joined.bias.defined() ? joined.bias.const_data_ptr<float>() : nullptr,
          joined.residual.defined() ? static_cast<const Element*>(joined.residual.const_data_ptr()) : nullptr,
          joined.clamp.low, joined.clamp.high,
          joined.mask.defined() ? joined.mask.mutable_data_ptr<std::uint8_t>() : nullptr};
}
/// The part of `after` for the output y, which need not be initialised: all but a smooth activation and what comes
/// before it. If `kept` is given, sets it to the mask.
JoinedEpilogue joined_epilogue(const at::Tensor& y, const Epilogue* after, at::Tensor* kept);
/// Applies the rest to y, in place. If `kept` is given, sets it to what a smooth activation's gradient needs.
void apply_rest_(const at::Tensor& y, const Epilogue* after, at::Tensor* kept);

/// The gradient before the activation, channels-last: grad where a clamp's value was strictly between the bounds and 0
/// elsewhere, or grad times the derivative. Returns grad if `kept` is undefined and grad is channels-last. It may
/// compute in place if `overwrites`.
at::Tensor activation_gradient(const at::Tensor& grad, const at::Tensor& kept, const FusedActivation& activation,
                               bool overwrites = false);

}  // namespace lorikeet
