#include "ops/elementwise.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include "base/error.h"

namespace lorikeet {

at::Tensor Relu::forward(const NodeTensors&, at::TensorList x) { return at::relu(x[0]); }

at::Tensor Relu6::forward(const NodeTensors&, at::TensorList x) { return at::hardtanh(x[0], 0, 6); }

at::Tensor Silu::forward(const NodeTensors&, at::TensorList x) { return at::silu(x[0]); }

at::Tensor Sigmoid::forward(const NodeTensors&, at::TensorList x) { return at::sigmoid(x[0]); }

at::Tensor HardSigmoid::forward(const NodeTensors&, at::TensorList x) { return at::hardsigmoid(x[0]); }

at::Tensor HardSwish::forward(const NodeTensors&, at::TensorList x) { return at::hardswish(x[0]); }

std::string Gelu::arguments() const {
  return form == GeluForm::kTanh ? "(approximate='tanh')" : "(approximate='none')";
}

at::Tensor Gelu::forward(const NodeTensors&, at::TensorList x) const {
  return at::gelu(x[0], form == GeluForm::kTanh ? "tanh" : "none");
}

at::Tensor Add::forward(const NodeTensors&, at::TensorList x) { return x[0] + x[1]; }

at::Tensor Multiply::forward(const NodeTensors&, at::TensorList x) { return x[0] * x[1]; }

std::string LayerScale::arguments() const { return cat("(", features, ")"); }

at::Tensor LayerScale::forward(const NodeTensors& tensors, at::TensorList x) {
  return x[0] * tensors[""].to(x[0].scalar_type());
}

}  // namespace lorikeet
