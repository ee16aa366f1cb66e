#include "adapters/lora.h"

#include <ATen/Context.h>
#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include <cmath>

#include "adapters/lora_start.h"
#include "base/error.h"

namespace lorikeet {
namespace {

std::int64_t groups_of(const Op& op) {
  const auto* conv = std::get_if<Conv2d>(&op);
  return conv == nullptr ? 1 : conv->groups;
}

// PEFT's A of a grouped convolution, (r, in, kh, kw), without the zeros outside each group: (r, in / groups, kh, kw).
at::Tensor own_channels(const at::Tensor& lora_A, std::int64_t groups) {
  const auto size = lora_A.sizes();
  const at::Tensor blocks =
      lora_A.reshape({groups, size[0] / groups, groups, size[1] / groups, size[2], size[3]}).diagonal(0, 0, 2);
  return blocks.permute({4, 0, 1, 2, 3}).reshape({size[0], size[1] / groups, size[2], size[3]});
}

// ΔW by blocks: each block of rows of B (out, r / blocks) multiplies its own block of rows of A (r, …).
at::Tensor product(const at::Tensor& lora_B, const at::Tensor& lora_A, std::int64_t blocks) {
  const at::Tensor B = lora_B.flatten(1).reshape({blocks, lora_B.size(0) / blocks, -1});
  const at::Tensor A = lora_A.reshape({blocks, lora_A.size(0) / blocks, -1});
  return at::bmm(B, A).flatten(0, 1);
}

bool is_split(const Op& op, std::int64_t rank) { return rank % groups_of(op) == 0; }

// The output of the matrices alone, without the initial ones.
at::Tensor forward_of(const LoraLayer& layer, const at::Tensor& lora_A, const at::Tensor& lora_B, const Op& op,
                      const at::Tensor& x) {
  const at::Tensor A = lora_A.to(x.scalar_type());
  const at::Tensor B = lora_B.to(x.scalar_type());
  if (std::holds_alternative<Linear>(op)) return at::linear(at::linear(x, A), B) * layer.scaling;
  const auto& conv = std::get<Conv2d>(op);
  if (!is_split(op, lora_A.size(0))) {
    const at::Tensor delta =
        product(B, A, 1).reshape({conv.out, conv.in / conv.groups, conv.kernel[0], conv.kernel[1]});
    return conv2d(conv, x, delta * layer.scaling, {}, conv.groups);
  }
  const bool is_grouped = conv.groups > 1 && !layer.crosses_groups;
  const at::Tensor down = is_grouped ? conv2d(conv, x, own_channels(A, conv.groups), {}, conv.groups)
                                     : conv2d(conv, x, A, {}, /*groups=*/1);
  const Pair one{1, 1};
  return at::conv2d(down, B, {}, one, at::IntArrayRef{0, 0}, one, conv.groups) * layer.scaling;
}

at::Tensor as_channels(const at::Tensor& vector, const Op& op) {
  return std::holds_alternative<Linear>(op) ? vector : vector.view({1, -1, 1, 1});
}

class Lora final : public LayerAdapter {
 public:
  Lora(LoraLayer layer, Node node) : layer_(std::move(layer)), node_(std::move(node)) {}

  std::vector<Part> parts() override {
    std::vector<Part> out{{"lora_A.weight", &layer_.lora_A}, {"lora_B.weight", &layer_.lora_B}};
    if (layer_.lora_bias.defined()) out.push_back({"lora_B.bias", &layer_.lora_bias});
    return out;
  }

  at::Tensor forward(const Op& op, const NodeTensors& base, const at::Tensor& x, bool training) const override {
    return apply(op, base, x) + lora_forward(layer_, op, x, training);
  }

  NodeTensors merged(const Node& node, const NodeTensors& base) const override {
    NodeTensors out = base;
    out.set("weight", base.weight() + lora_delta_weight(layer_, node));
    if (layer_.lora_bias.defined()) {
      if (!base.bias().defined())
        fail("merge: got lora_bias on ", node.name, ", which has no bias, expected a layer with a bias to add it to.");
      out.set("bias", base.bias() + layer_.lora_bias * layer_.scaling);
    }
    return out;
  }

  std::optional<LowRank> low_rank() const override {
    const bool drops_apart =
        layer_.initial_A.defined() && layer_.dropout > 0;  // the initial matrices use x without dropout
    if (layer_.lora_bias.defined() || drops_apart || groups_of(node_.op) != 1) return std::nullopt;
    return with_initial(layer_, node_.op);
  }

  std::vector<std::pair<std::string, at::Tensor>> saved() const override {
    if (!layer_.initial_A.defined()) return LayerAdapter::saved();
    const LowRank both = with_initial(layer_, node_.op);
    return {{"lora_A.weight", both.lora_A.detach()}, {"lora_B.weight", both.lora_B.detach()}};
  }

  std::vector<Part> constants() override { return layer_.constants(); }
  void seed_dropout(std::uint64_t seed) override { layer_.seed_dropout(seed); }
  void moved(at::Device device) override { layer_.moved(device); }
  void loaded() override { layer_.loaded(node_.op); }

 private:
  LoraLayer layer_;
  Node node_;
};

}  // namespace

void LoraLayer::loaded(const Op& op) { crosses_groups = lorikeet::crosses_groups(lora_A, op, lora_A.size(0)); }

void LoraLayer::moved(at::Device device) {
  if (generator.defined() && generator.device().type() != device.type()) seed_dropout(generator.current_seed());
  if (!initial_A.defined()) return;
  initial_A = initial_A.to(device);
  initial_B = initial_B.to(device);
}

void LoraLayer::seed_dropout(std::uint64_t seed) {
  if (dropout != 0) seed_generator(generator, lora_A.device(), seed);
}

void seed_generator(at::Generator& generator, at::Device device, std::uint64_t seed) {
  if (!generator.defined() || generator.device().type() != device.type())
    generator = at::globalContext().defaultGenerator(device).clone();
  generator.set_current_seed(seed);
}

std::vector<LayerAdapter::Part> LoraLayer::constants() {
  if (!initial_A.defined()) return {};
  return {{"initial_A", &initial_A, /*learned=*/false}, {"initial_B", &initial_B, /*learned=*/false}};
}

LoraShapes lora_shapes(const Node& node, std::int64_t rank) {
  if (const auto* linear = std::get_if<Linear>(&node.op)) return {{rank, linear->in}, {linear->out, rank}};
  const auto& conv = std::get<Conv2d>(node.op);
  if (!is_split(node.op, rank))
    return {{rank, conv.in / conv.groups, conv.kernel[0], conv.kernel[1]}, {conv.out, rank, 1, 1}};
  return {{rank, conv.in, conv.kernel[0], conv.kernel[1]}, {conv.out, rank / conv.groups, 1, 1}};
}

LoraLayer start_lora(const Node& node, const at::Tensor& weight, const AdapterTarget& target,
                     const AdapterConfig& config, at::Generator& generator) {
  const std::int64_t groups = groups_of(node.op);
  const bool is_split_by_groups = is_split(node.op, target.rank);
  LoraStarts start =
      start_matrices(node.name, weight, is_split_by_groups ? groups : 1, target, config.init_lora_weights, generator);
  const LoraShapes shapes = lora_shapes(node, target.rank);
  // (r, in / groups · kh · kw) → PEFT's shape, with zeros outside the groups.
  const auto shaped_A = [&](const at::Tensor& matrix) {
    if (groups == 1 || !is_split_by_groups) return matrix.reshape(shapes.lora_A);
    const auto& conv = std::get<Conv2d>(node.op);
    const std::int64_t rows = target.rank / groups;
    const at::Tensor blocks = matrix.reshape({groups, rows, conv.in / groups, conv.kernel[0], conv.kernel[1]});
    at::Tensor out = at::zeros({groups, rows, groups, conv.in / groups, conv.kernel[0], conv.kernel[1]});
    for (std::int64_t g = 0; g < groups; ++g) out.select(0, g).select(1, g).copy_(blocks[g]);
    return out.reshape(shapes.lora_A);
  };
  LoraLayer layer;
  layer.lora_A = shaped_A(start.A);
  layer.lora_B = start.B.reshape(shapes.lora_B);
  layer.scaling = target.scaling;
  layer.dropout = config.lora_dropout;
  if (config.lora_bias) layer.lora_bias = at::zeros({weight.size(0)});
  if (start.is_taken) {
    if (!is_split_by_groups) {
      fail_usage("init_lora_weights: got pissa or olora for ", node.name, " with groups=", groups,
                 " and r=", target.rank, ", expected a rank that is a multiple of the groups.");
    }
    layer.initial_A = layer.lora_A.clone();
    layer.initial_B = layer.lora_B.clone();
  }
  return layer;
}

LowRank with_initial(const LoraLayer& layer, const Op& op) {
  if (!layer.initial_A.defined()) return layer;
  const std::int64_t blocks = groups_of(op);  // concatenate A per block, so that each keeps its own rows
  const auto rows = [&](const at::Tensor& A) { return A.unflatten(0, {blocks, A.size(0) / blocks}); };
  LowRank out = layer;
  out.lora_A = at::cat({rows(layer.lora_A), rows(layer.initial_A)}, 1).flatten(0, 1);
  out.lora_B = at::cat({layer.lora_B, -layer.initial_B}, 1);
  return out;
}

at::Tensor dropped(const LowRank& layer, const at::Tensor& x, bool training) {
  if (!training || layer.dropout == 0) return x;
  if (!layer.generator.defined()) return at::dropout(x, layer.dropout, true);
  const double kept = 1 - layer.dropout;
  const at::Tensor mask = at::empty_like(x, x.options().requires_grad(false));
  return x * mask.bernoulli_(kept, layer.generator).div_(kept);
}

at::Tensor lora_down(const LowRank& layer, const Op& op, const at::Tensor& x, bool training) {
  const at::Tensor A = layer.lora_A.to(x.scalar_type());
  const at::Tensor input = dropped(layer, x, training);
  if (std::holds_alternative<Linear>(op)) return at::linear(input, A);
  return conv2d(std::get<Conv2d>(op), input, A, {}, /*groups=*/1);
}

at::Tensor lora_forward(const LoraLayer& layer, const Op& op, const at::Tensor& x, bool training) {
  at::Tensor y = forward_of(layer, layer.lora_A, layer.lora_B, op, dropped(layer, x, training));
  if (layer.initial_A.defined()) y = y - forward_of(layer, layer.initial_A, layer.initial_B, op, x);
  if (layer.lora_bias.defined()) y = y + as_channels((layer.lora_bias * layer.scaling).to(x.scalar_type()), op);
  return y;
}

at::Tensor lora_delta_weight(const LoraLayer& layer, const Node& node) {
  const LowRank both = with_initial(layer, node.op);
  if (std::holds_alternative<Linear>(node.op)) return at::matmul(both.lora_B, both.lora_A) * both.scaling;
  const auto& conv = std::get<Conv2d>(node.op);
  if (layer.crosses_groups) {
    fail("merge: got LoRA on ", node.name, " that crosses its groups=", conv.groups,
         ", expected one within the groups. The sum is not a grouped "
         "convolution; PEFT trains such an adapter, Lorikeet does not.");
  }
  const bool is_grouped = conv.groups > 1 && is_split(node.op, both.lora_A.size(0));
  const at::Tensor A = is_grouped ? own_channels(both.lora_A, conv.groups) : both.lora_A;
  const at::Tensor delta = product(both.lora_B, A, is_grouped ? conv.groups : 1) * both.scaling;
  return delta.reshape({conv.out, conv.in / conv.groups, conv.kernel[0], conv.kernel[1]});
}

at::Tensor lora_dense_delta_weight(const LoraLayer& layer, const Op& op) {
  const auto& conv = std::get<Conv2d>(op);
  return (product(layer.lora_B, layer.lora_A, conv.groups) * layer.scaling)
      .reshape({conv.out, conv.in, conv.kernel[0], conv.kernel[1]});
}

bool crosses_groups(const at::Tensor& lora_A, const Op& op, std::int64_t rank) {
  const std::int64_t groups = groups_of(op);
  if (groups == 1 || !is_split(op, rank)) return false;
  return at::count_nonzero(lora_A).item<std::int64_t>() !=
         at::count_nonzero(own_channels(lora_A, groups)).item<std::int64_t>();
}

AdapterConfig saved_lora_config(const AdapterConfig& config) {
  AdapterConfig out = config;
  if (config.init_lora_weights == LoraStart::kPissa || config.init_lora_weights == LoraStart::kOlora) {
    const double alpha_factor = config.use_rslora ? std::sqrt(2.0) : 2.0;  // keeps the scale
    out.r *= 2;
    out.lora_alpha *= alpha_factor;
    for (auto& [pattern, rank] : out.rank_pattern) rank *= 2;
    for (auto& [pattern, alpha] : out.alpha_pattern) alpha *= alpha_factor;
  }
  // PEFT initialises a layer before it loads its tensors, and supports most initialisations only for Linear.
  if (config.init_lora_weights != LoraStart::kGaussian) out.init_lora_weights = LoraStart::kDefault;
  return out;
}

std::vector<AdapterTensor> lora_tensors(const Node& node, const AdapterTarget& target, const AdapterConfig& config) {
  const LoraShapes shapes = lora_shapes(node, target.rank);
  std::vector<AdapterTensor> out{{"lora_A.weight", shapes.lora_A}, {"lora_B.weight", shapes.lora_B}};
  if (config.lora_bias) out.push_back({"lora_B.bias", {shapes.lora_B[0]}});
  return out;
}

std::unique_ptr<LayerAdapter> make_lora(const Node& node, const NodeTensors& base, const AdapterTarget& target,
                                        const AdapterConfig& config, at::Generator& generator) {
  return std::make_unique<Lora>(start_lora(node, base.weight(), target, config, generator), node);
}

}  // namespace lorikeet
