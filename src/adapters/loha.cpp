#include "adapters/loha.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include "adapters/delta_adapter.h"

namespace lorikeet {
namespace {

class Loha final : public DeltaAdapter {
 public:
  // w2_b is zero, which makes ΔW zero.
  Loha(const std::vector<AdapterTensor>& tensors, double scaling, at::Generator& generator)
      : DeltaAdapter(tensors, {"hada_w2_b"}, generator), scaling_(scaling) {}

 private:
  at::Tensor factor(const std::string& number) const {
    const at::Tensor &a = tensor("hada_w" + number + "_a"), &b = tensor("hada_w" + number + "_b");
    return has("hada_t" + number) ? cp_weight(tensor("hada_t" + number), a, b) : at::mm(a, b);
  }
  int kept_weights() const override { return 3; }  // the two factors, and the sum
  at::Tensor delta_weight() const override { return (factor("1") * factor("2") * scaling_).contiguous(); }

  double scaling_;
};

}  // namespace

std::vector<AdapterTensor> loha_tensors(const Node& node, const AdapterTarget& target, const AdapterConfig& config) {
  const WeightShape shape = weight_shape(node.op);
  const std::int64_t r = target.rank;
  if (!config.use_effective_conv2d || shape.is_pointwise()) {
    return {{"hada_w1_a", {shape.out, r}},
            {"hada_w1_b", {r, shape.columns()}},
            {"hada_w2_a", {shape.out, r}},
            {"hada_w2_b", {r, shape.columns()}}};
  }
  const std::vector<std::int64_t> core{r, r, shape.kernel[0], shape.kernel[1]};
  return {{"hada_w1_a", {r, shape.out}},
          {"hada_w1_b", {r, shape.in}},
          {"hada_w2_a", {r, shape.out}},
          {"hada_w2_b", {r, shape.in}},
          {"hada_t1", core},
          {"hada_t2", core}};
}

std::unique_ptr<LayerAdapter> make_loha(const Node& node, const NodeTensors&, const AdapterTarget& target,
                                        const AdapterConfig& config, at::Generator& generator) {
  return std::make_unique<Loha>(loha_tensors(node, target, config), target.scaling, generator);
}

}  // namespace lorikeet
