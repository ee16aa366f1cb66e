#include "ops/elementwise.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

namespace lorikeet {

at::Tensor Relu::forward(const NodeTensors&, at::TensorList x) { return at::relu(x[0]); }

at::Tensor Relu6::forward(const NodeTensors&, at::TensorList x) { return at::hardtanh(x[0], 0, 6); }

at::Tensor Add::forward(const NodeTensors&, at::TensorList x) { return x[0] + x[1]; }

}  // namespace lorikeet
