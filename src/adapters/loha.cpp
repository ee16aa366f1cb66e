#include "adapters/loha.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include "adapters/delta_adapter.h"

namespace lorikeet {
namespace {

class Loha final : public DeltaAdapter {
 public:
  // Everything random but w2_b, which is zero: one factor of the product vanishes, and with it ΔW.
  Loha(const std::vector<AdapterTensor>& tensors, double scaling, at::Generator& generator) : scaling_(scaling) {
    for (const AdapterTensor& tensor : tensors) {
      names_.push_back(tensor.suffix);
      tensors_.push_back(tensor.suffix == "hada_w2_b" ? at::zeros(tensor.shape) : kaiming_uniform(tensor.shape, generator));
    }
  }

  std::vector<Part> parts() override {
    std::vector<Part> out;
    for (std::size_t i = 0; i < names_.size(); ++i) out.push_back({names_[i], &tensors_[i]});
    return out;
  }

 private:
  at::Tensor delta_weight() const override {
    const auto& w = tensors_;
    const bool has_cores = w.size() == 6;
    const at::Tensor one = has_cores ? cp_weight(w[4], w[0], w[1]) : at::mm(w[0], w[1]);
    const at::Tensor two = has_cores ? cp_weight(w[5], w[2], w[3]) : at::mm(w[2], w[3]);
    return (one * two * scaling_).contiguous();
  }

  std::vector<std::string> names_;
  std::vector<at::Tensor> tensors_;  // w1_a, w1_b, w2_a, w2_b and, with cores, t1, t2
  double scaling_;
};

}  // namespace

std::vector<AdapterTensor> loha_tensors(const Node& node, const AdapterTarget& target, const AdapterConfig& config) {
  const WeightShape shape = weight_shape(node.op);
  const std::int64_t r = target.rank;
  if (!config.use_effective_conv2d || shape.is_pointwise()) {
    return {{"hada_w1_a", {shape.out, r}}, {"hada_w1_b", {r, shape.columns()}}, {"hada_w2_a", {shape.out, r}}, {"hada_w2_b", {r, shape.columns()}}};
  }
  const std::vector<std::int64_t> core{r, r, shape.kernel[0], shape.kernel[1]};
  return {{"hada_w1_a", {r, shape.out}}, {"hada_w1_b", {r, shape.in}}, {"hada_w2_a", {r, shape.out}},
          {"hada_w2_b", {r, shape.in}},  {"hada_t1", core},            {"hada_t2", core}};
}

std::unique_ptr<LayerAdapter> make_loha(const Node& node, const NodeTensors&, const AdapterTarget& target, const AdapterConfig& config, at::Generator& generator) {
  return std::make_unique<Loha>(loha_tensors(node, target, config), target.scaling, generator);
}

}  // namespace lorikeet
