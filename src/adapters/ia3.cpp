#include "adapters/ia3.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include <algorithm>

namespace lorikeet {
namespace {

class Ia3 final : public LayerAdapter {
 public:
  Ia3(at::Tensor start, bool scales_input) : l_(std::move(start)), scales_input_(scales_input) {}

  std::vector<Part> parts() override { return {{"ia3_l", &l_}}; }

  at::Tensor forward(const Op& op, const NodeTensors& base, const at::Tensor& x, bool) const override {
    at::Tensor l = l_.to(x.scalar_type());
    if (std::holds_alternative<Linear>(op)) l = l.flatten();
    return scales_input_ ? apply(op, base, x * l) : apply(op, base, x) * l;
  }

  NodeTensors merged(const Node& node, const NodeTensors& base) const override {
    NodeTensors out = base;
    if (scales_input_) {
      out.set("weight", base.weight() * per_input(node.op));
      return out;
    }
    out.set("weight", scaled_outputs(base.weight(), l_));
    if (base.bias().defined()) out.set("bias", base.bias() * l_.flatten());
    return out;
  }

 private:
  // The shape in which l multiplies the weight. The rows of each group of a convolution use the channels of that group.
  at::Tensor per_input(const Op& op) const {
    const auto* conv = std::get_if<Conv2d>(&op);
    if (conv == nullptr) return l_.view({1, -1});
    return l_.view({conv->groups, conv->in / conv->groups})
        .repeat_interleave(conv->out / conv->groups, 0)
        .unsqueeze(2)
        .unsqueeze(3);
  }

  at::Tensor l_;
  bool scales_input_;
};

}  // namespace

bool is_feedforward(const std::string& name, const AdapterConfig& config) {
  const auto* list = std::get_if<std::vector<std::string>>(&config.feedforward_modules);
  if (list == nullptr) return matches(config.feedforward_modules, name, "feedforward_modules");
  return std::any_of(list->begin(), list->end(), [&](const std::string& entry) { return name.ends_with(entry); });
}

std::vector<AdapterTensor> ia3_tensors(const Node& node, const AdapterTarget&, const AdapterConfig& config) {
  const bool scales_input = is_feedforward(node.name, config);
  if (const auto* linear = std::get_if<Linear>(&node.op)) {
    return {
        {"ia3_l", scales_input ? std::vector<std::int64_t>{1, linear->in} : std::vector<std::int64_t>{linear->out, 1}}};
  }
  const auto& conv = std::get<Conv2d>(node.op);
  return {{"ia3_l", {1, scales_input ? conv.in : conv.out, 1, 1}}};
}

std::unique_ptr<LayerAdapter> make_ia3(const Node& node, const NodeTensors&, const AdapterTarget& target,
                                       const AdapterConfig& config, at::Generator&) {
  return std::make_unique<Ia3>(at::ones(ia3_tensors(node, target, config)[0].shape), is_feedforward(node.name, config));
}

}  // namespace lorikeet
