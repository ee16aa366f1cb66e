#include "adapters/low_rank_adapter.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include "adapters/lora.h"
#include "adapters/weight_adapter.h"

namespace lorikeet {
namespace {

// ΔW as a matrix (out, in / groups · kh · kw), scale included.
at::Tensor delta_weight(const LowRank& both) {
  return at::mm(both.lora_B.flatten(1), both.lora_A.flatten(1)) * both.scaling;
}

}  // namespace

LowRankAdapter::LowRankAdapter(const Op& op, double scaling, double dropout)
    : op_(op), has_groups_(weight_shape(op).groups != 1), scaling_(scaling), dropout_(dropout) {}

LowRank LowRankAdapter::product() const {
  const Factors both = factors();
  const FactorShapes shapes = factor_shapes(op_, both.B.size(1));
  return {both.A.reshape(shapes.A), both.B.reshape(shapes.B), scaling_, dropout_, generator_};
}

at::Tensor LowRankAdapter::forward(const Op& op, const NodeTensors& base, const at::Tensor& x, bool training) const {
  const LowRank both = product();
  const at::Tensor y = apply(op, base, x);
  const at::Tensor B = both.lora_B.to(x.scalar_type());
  if (has_groups_) {
    const auto& conv = std::get<Conv2d>(op);
    const NodeTensors added{{"weight", delta_weight(both).view(base.weight().sizes()).to(x.scalar_type())}};
    return y + conv2d(conv, dropped(both, x, training), added.weight(), {}, conv.groups);
  }
  const at::Tensor down = lora_down(both, op, x, training);
  if (std::holds_alternative<Linear>(op)) return y + at::linear(down, B) * both.scaling;
  return y + at::conv2d(down, B) * both.scaling;
}

NodeTensors LowRankAdapter::merged(const Node&, const NodeTensors& base) const {
  NodeTensors out = base;
  const at::Tensor delta = delta_weight(product()).view(base.weight().sizes());
  out.set("weight", base.weight() + delta.to(base.weight().scalar_type()));
  return out;
}

std::optional<LowRank> LowRankAdapter::low_rank() const {
  if (has_groups_) return std::nullopt;
  return product();
}

void LowRankAdapter::seed_dropout(std::uint64_t seed) {
  if (dropout_ != 0) seed_generator(generator_, device_, seed);
}

void LowRankAdapter::moved(at::Device device) {
  device_ = device;
  if (generator_.defined() && generator_.device().type() != device.type()) seed_dropout(generator_.current_seed());
}

FactorShapes factor_shapes(const Op& op, std::int64_t rank) {
  const WeightShape shape = weight_shape(op);
  if (std::holds_alternative<Linear>(op)) return {{rank, shape.in}, {shape.out, rank}};
  return {{rank, shape.in, shape.kernel[0], shape.kernel[1]}, {shape.out, rank, 1, 1}};
}

}  // namespace lorikeet
