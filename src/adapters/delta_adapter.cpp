#include "adapters/delta_adapter.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

namespace lorikeet {

at::Tensor DeltaAdapter::forward(const Op& op, const NodeTensors& base, const at::Tensor& x, bool) const {
  NodeTensors sum = base;
  sum.weight = base.weight + delta_weight().view(base.weight.sizes()).to(x.scalar_type());
  return apply(op, sum, x);
}

NodeTensors DeltaAdapter::merged(const Node&, const NodeTensors& base) const {
  NodeTensors out = base;
  out.weight = base.weight + delta_weight().view(base.weight.sizes());
  return out;
}

WeightShape weight_shape(const Op& op) {
  if (const auto* linear = std::get_if<Linear>(&op)) return {linear->out, linear->in};
  const auto& conv = std::get<Conv2d>(op);
  return {conv.out, conv.in / conv.groups, conv.kernel};
}

at::Tensor cp_weight(const at::Tensor& t, const at::Tensor& a, const at::Tensor& b) { return at::einsum("ijkl,jq,ip->pqkl", {t, b, a}); }

}  // namespace lorikeet
