#include "ops/elementwise.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

namespace lorikeet {

at::Tensor Relu::forward(const NodeTensors&, at::TensorList x) { return at::relu(x[0]); }

at::Tensor Relu6::forward(const NodeTensors&, at::TensorList x) { return at::hardtanh(x[0], 0, 6); }

std::string Gelu::arguments() const {
  return form == GeluForm::kTanh ? "(approximate='tanh')" : "(approximate='none')";
}

at::Tensor Gelu::forward(const NodeTensors&, at::TensorList x) const {
  return at::gelu(x[0], form == GeluForm::kTanh ? "tanh" : "none");
}

at::Tensor Add::forward(const NodeTensors&, at::TensorList x) { return x[0] + x[1]; }

}  // namespace lorikeet
