#include "adapters/weight_adapter.h"

#include <ATen/Functions.h>

namespace lorikeet {

at::Tensor WeightAdapter::forward(const Op& op, const NodeTensors& base, const at::Tensor& x, bool training) const {
  NodeTensors tensors = base;
  tensors.set("weight", adapted(base.weight(), training).to(x.scalar_type()));
  return apply(op, tensors, x);
}

NodeTensors WeightAdapter::merged(const Node&, const NodeTensors& base) const {
  NodeTensors out = base;
  out.set("weight", adapted(base.weight(), /*training=*/false).to(base.weight().scalar_type()));
  return out;
}

WeightShape weight_shape(const Op& op) {
  if (const auto* linear = std::get_if<Linear>(&op)) return {linear->out, linear->in};
  const auto& conv = std::get<Conv2d>(op);
  return {conv.out, conv.in / conv.groups, conv.kernel, conv.groups};
}

}  // namespace lorikeet
