#include "adapters/norm_tuning.h"

#include <ATen/Functions.h>

namespace lorikeet {
namespace {

const std::string kNormPrefix = "ln_tuning_layers.";

class TunedNorm final : public LayerAdapter {
 public:
  TunedNorm(const Op& op, const NodeTensors& base) {
    for (const auto& parameter : parameters_of(op)) {
      own_.set(parameter.name, base[parameter.name].detach().clone());
      is_learned_.push_back(!parameter.buffer);
    }
  }

  std::vector<Part> parts() override {
    std::vector<Part> out;
    for (auto& [name, tensor] : own_) out.push_back({kNormPrefix + name, &tensor, is_learned_[out.size()]});
    return out;
  }

  at::Tensor forward(const Op& op, const NodeTensors&, const at::Tensor& x, bool) const override {
    return apply(op, own_, x);
  }
  NodeTensors merged(const Node&, const NodeTensors&) const override { return own_; }

 private:
  NodeTensors own_;
  std::vector<bool> is_learned_;  // one per tensor
};

}  // namespace

std::vector<AdapterTensor> norm_tensors(const Node& node, const AdapterTarget&, const AdapterConfig&) {
  std::vector<AdapterTensor> out;
  for (auto& parameter : parameters_of(node.op))
    out.push_back({kNormPrefix + parameter.name, std::move(parameter.shape), !parameter.buffer});
  return out;
}

std::unique_ptr<LayerAdapter> make_norm(const Node& node, const NodeTensors& base, const AdapterTarget&,
                                        const AdapterConfig&, at::Generator&) {
  return std::make_unique<TunedNorm>(node.op, base);
}

}  // namespace lorikeet
