#include "adapters/hira.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include "adapters/lora.h"
#include "adapters/low_rank_adapter.h"
#include "adapters/weight_adapter.h"

namespace lorikeet {
namespace {

class Hira final : public WeightAdapter {
 public:
  Hira(at::Tensor A, at::Tensor B, double dropout) {
    factors_.lora_A = std::move(A);
    factors_.lora_B = std::move(B);
    factors_.dropout = dropout;
  }

  std::vector<Part> parts() override { return {{"hira_A", &factors_.lora_A}, {"hira_B", &factors_.lora_B}}; }

  at::Tensor forward(const Op& op, const NodeTensors& base, const at::Tensor& x, bool training) const override {
    if (!training || factors_.dropout == 0) return WeightAdapter::forward(op, base, x, training);
    // Dropout acts on what the adapter adds, not on the layer.
    NodeTensors added{{"weight", change(base.weight()).to(x.scalar_type())}};
    return apply(op, base, x) + apply(op, added, dropped(factors_, x, training));
  }

  int kept_weights() const override { return 1; }  // the changed one
  void moved(at::Device device) override { factors_.moved(device); }
  void seed_dropout(std::uint64_t seed) override { factors_.seed_dropout(seed); }

 private:
  at::Tensor change(const at::Tensor& weight) const {
    return weight * at::mm(factors_.lora_B.flatten(1), factors_.lora_A.flatten(1)).view(weight.sizes());
  }
  at::Tensor adapted(const at::Tensor& weight, bool) const override { return weight + change(weight); }

  LoraLayer factors_;
};

}  // namespace

std::vector<AdapterTensor> hira_tensors(const Node& node, const AdapterTarget& target, const AdapterConfig&) {
  FactorShapes shapes = factor_shapes(node.op, target.rank);
  return {{"hira_A", std::move(shapes.A)}, {"hira_B", std::move(shapes.B)}};
}

std::unique_ptr<LayerAdapter> make_hira(const Node& node, const NodeTensors&, const AdapterTarget& target,
                                        const AdapterConfig& config, at::Generator& generator) {
  const auto tensors = hira_tensors(node, target, config);
  return std::make_unique<Hira>(kaiming_uniform(tensors[0].shape, generator), at::zeros(tensors[1].shape),
                                config.hira_dropout);
}

}  // namespace lorikeet
