// Activations without corners, in one pass with the bias and the residual sum before them. What their gradient needs is
// kept in fewer bits than the value itself takes: the derivative as a number of fixed point, of 24 bits for float32,
// which is as exact as float32 is near 1, and of 16 for bfloat16.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace lorikeet {

enum class SmoothActivation { kNone, kGelu, kGeluTanh, kSilu, kHardSwish };

/// y → f(y + bias + residual), in place. y float32 or bfloat16, dense, its rows of `bias.size(0)` channels contiguous:
/// (N, C, H, W) in channels-last memory, or (rows, C). bias (C,) float32; residual laid out like y, or undefined. Gives
/// what smooth_gradient() needs where `keeps`; opaque. REQUIRES: f is not kNone.
at::Tensor apply_smooth_(const at::Tensor& y, const at::Tensor& bias, const at::Tensor& residual, SmoothActivation f,
                         bool keeps);

/// grad · f'(z); grad is of y's type and laid out as y was. It may compute in place if `overwrites`.
at::Tensor smooth_gradient(const at::Tensor& grad, const at::Tensor& kept, SmoothActivation f, bool overwrites = false);

/// Bytes of what apply_smooth_ keeps of an element of so many bytes.
constexpr std::uint64_t smooth_kept_bytes(std::uint64_t element) { return element == 4 ? 3 : 2; }

}  // namespace lorikeet
