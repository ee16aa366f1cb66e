#include "adapters/norm_tuning.h"

#include <ATen/Functions.h>

namespace lorikeet {
namespace {

class TunedNorm final : public LayerAdapter {
 public:
  explicit TunedNorm(const NodeTensors& base)
      : own_{base.weight.detach().clone(), base.bias.detach().clone(), base.running_mean.clone(),
             base.running_var.clone()} {}

  std::vector<Part> parts() override {
    return {{"ln_tuning_layers.weight", &own_.weight},
            {"ln_tuning_layers.bias", &own_.bias},
            {"ln_tuning_layers.running_mean", &own_.running_mean, /*learned=*/false},
            {"ln_tuning_layers.running_var", &own_.running_var, /*learned=*/false}};
  }

  at::Tensor forward(const Op& op, const NodeTensors&, const at::Tensor& x, bool) const override {
    return apply(op, own_, x);
  }
  NodeTensors merged(const Node&, const NodeTensors&) const override { return own_; }

 private:
  NodeTensors own_;
};

}  // namespace

std::vector<AdapterTensor> norm_tensors(const Node& node, const AdapterTarget&, const AdapterConfig&) {
  const std::vector<std::int64_t> shape{std::get<BatchNorm2d>(node.op).features};
  return {{"ln_tuning_layers.weight", shape},
          {"ln_tuning_layers.bias", shape},
          {"ln_tuning_layers.running_mean", shape, /*learned=*/false},
          {"ln_tuning_layers.running_var", shape, /*learned=*/false}};
}

std::unique_ptr<LayerAdapter> make_norm(const Node&, const NodeTensors& base, const AdapterTarget&,
                                        const AdapterConfig&, at::Generator&) {
  return std::make_unique<TunedNorm>(base);
}

}  // namespace lorikeet
