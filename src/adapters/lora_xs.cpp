#include "adapters/lora_xs.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include <algorithm>

#include "adapters/low_rank_adapter.h"
#include "adapters/singular_basis.h"
#include "adapters/weight_adapter.h"

namespace lorikeet {
namespace {

class LoraXs final : public LowRankAdapter {
 public:
  LoraXs(const Op& op, const SingularBasis& basis, double scaling, double dropout)
      : LowRankAdapter(op, scaling, dropout), left_(basis.left * basis.values), right_(basis.right),
        R_(at::zeros({basis.values.size(0), basis.values.size(0)})) {}

  std::vector<Part> parts() override { return {{"lora_xs_R", &R_}}; }
  std::vector<at::Tensor*> fixed() override { return {&left_, &right_}; }

 private:
  Factors factors() const override {
    const auto type = R_.scalar_type();
    return {right_.to(type), at::mm(left_.to(type), R_)};
  }

  at::Tensor left_;   // U·Σ, (out, r)
  at::Tensor right_;  // Vᵀ, (r, columns)
  at::Tensor R_;
};

}  // namespace

std::vector<AdapterTensor> lora_xs_tensors(const Node& node, const AdapterTarget& target, const AdapterConfig&) {
  const std::int64_t most = weight_shape(node.op).greatest_rank(), rank = std::min(target.rank, most);
  check_basis_rank(rank, most, "r: " + node.name);
  return {{"lora_xs_R", {rank, rank}}};
}

std::vector<std::unique_ptr<LayerAdapter>> make_lora_xs(const AdaptedLayers& layers,
                                                        const std::vector<NodeTensors>& base,
                                                        const AdapterConfig& config, at::Generator&) {
  std::vector<RankedWeight> weights;
  for (const AdapterTarget& target : layers.targets) weights.push_back({base[target.node].weight(), target.rank});
  const std::vector<SingularBasis> bases = singular_bases(weights);
  std::vector<std::unique_ptr<LayerAdapter>> out;
  for (std::size_t i = 0; i < bases.size(); ++i) {
    const AdapterTarget& target = layers.targets[i];
    out.push_back(
        std::make_unique<LoraXs>(layers.graph.node(target.node).op, bases[i], target.scaling, config.lora_dropout));
  }
  return out;
}

}  // namespace lorikeet
