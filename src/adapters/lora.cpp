#include "adapters/lora.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include <cmath>

#include "base/error.h"
#include "graph/reference.h"

namespace lorikeet {

LoraShapes lora_shapes(const Node& node, std::int64_t rank) {
  if (const auto* linear = std::get_if<Linear>(&node.op)) return {{rank, linear->in}, {linear->out, rank}};
  const auto& conv = std::get<Conv2d>(node.op);
  if (rank % conv.groups != 0) {
    fail_usage("r: got ", rank, " for ", node.name, " with groups=", conv.groups, ", expected a multiple of the groups. Choose another rank, or leave the layer out.");
  }
  return {{rank, conv.in, conv.kernel[0], conv.kernel[1]}, {conv.out, rank / conv.groups, 1, 1}};
}

LoraLayer start_lora(const Node& node, const LoraTarget& target, const LoraConfig& config, at::Generator& generator) {
  const LoraShapes shapes = lora_shapes(node, target.rank);
  LoraLayer layer{at::empty(shapes.lora_A), at::zeros(shapes.lora_B), target.scaling, config.lora_dropout};
  if (config.init_lora_weights == LoraStart::kGaussian) {
    layer.lora_A.normal_(0, 1.0 / static_cast<double>(target.rank), generator);
  } else {
    // kaiming_uniform with a = √5 is U(−1/√fan_in, 1/√fan_in).
    const double bound = 1 / std::sqrt(static_cast<double>(layer.lora_A[0].numel()));
    layer.lora_A.uniform_(-bound, bound, generator);
  }
  return layer;
}

at::Tensor lora_down(const LoraLayer& layer, const Op& op, const at::Tensor& x, bool training) {
  const at::Tensor A = layer.lora_A.to(x.scalar_type());
  const at::Tensor dropped = training && layer.dropout > 0 ? at::dropout(x, layer.dropout, true) : x;
  if (std::holds_alternative<Linear>(op)) return at::linear(dropped, A);
  return conv2d(std::get<Conv2d>(op), dropped, A, {}, /*groups=*/1);
}

at::Tensor lora_forward(const LoraLayer& layer, const Op& op, const at::Tensor& x, bool training) {
  const at::Tensor down = lora_down(layer, op, x, training);
  const at::Tensor B = layer.lora_B.to(x.scalar_type());
  if (std::holds_alternative<Linear>(op)) return at::linear(down, B) * layer.scaling;
  const Pair one{1, 1};
  return at::conv2d(down, B, {}, one, at::IntArrayRef{0, 0}, one, std::get<Conv2d>(op).groups) * layer.scaling;
}

at::Tensor lora_delta_weight(const LoraLayer& layer, const Node& node) {
  if (std::holds_alternative<Linear>(node.op)) return at::matmul(layer.lora_B, layer.lora_A) * layer.scaling;
  const auto& conv = std::get<Conv2d>(node.op);
  if (conv.groups != 1) {
    fail("merge: got LoRA on ", node.name, " with groups=", conv.groups, ", expected groups=1. The sum is not a grouped convolution.");
  }
  const at::Tensor delta = at::matmul(layer.lora_B.flatten(1), layer.lora_A.flatten(1)) * layer.scaling;
  return delta.reshape({conv.out, conv.in, conv.kernel[0], conv.kernel[1]});
}

}  // namespace lorikeet
