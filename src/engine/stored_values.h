// Values of the int8 executor: real (float32 or bfloat16), or stored (uint8) with the quantization of their node.
// Autograd requires floating-point values, so a stored value with a gradient is represented by a stand-in: a tensor of
// real type and of its shape on its memory, with strides 0, whose elements mean nothing. Its gradient is that of the
// real value: rounding and clipping are the identity in the backward pass.
#pragma once

#include <ATen/core/Tensor.h>

#include "kernels/quantization.h"

namespace lorikeet {

/// Represents stored, (N, C, H, W), channels-last. Shares its memory.
at::Tensor stand_in(const at::Tensor& stored, at::ScalarType type);

/// The real value of any of the three. Differentiable with respect to a stand-in.
at::Tensor real_value(const at::Tensor& value, const Quantization& q, at::ScalarType type);
/// The stored value of any of the three, which has the quantization `q` if it is stored already. Not differentiable.
at::Tensor stored_value(const at::Tensor& value, const Quantization& q);

}  // namespace lorikeet
