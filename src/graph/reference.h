// What every operation means, in plain ATen: the definition that faster engines are tested against. Differentiable.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>

#include "graph/graph.h"

namespace lorikeet {

/// The tensors of a node; those that it does not have are undefined.
struct NodeTensors {
  at::Tensor weight;
  at::Tensor bias;
  at::Tensor running_mean;
  at::Tensor running_var;
};

/// The tensor as ATen's operators take one that may be missing.
std::optional<at::Tensor> optional_tensor(const at::Tensor& tensor);

/// A convolution with the geometry of `conv` (stride, padding, dilation), whatever `weight`'s channels are.
/// x (N, C, H, W), weight (out, C / groups, kh, kw), bias (out,) or undefined → (N, out, H', W').
at::Tensor conv2d(const Conv2d& conv, const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                  std::int64_t groups);

/// Any operation but Input. `second` is the other summand of an Add.
at::Tensor apply(const Op& op, const NodeTensors& tensors, const at::Tensor& x, const at::Tensor& second = {});

}  // namespace lorikeet
