#include "adapters/lokr.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include <algorithm>
#include <map>

#include "adapters/delta_adapter.h"

namespace lorikeet {
namespace {

class Lokr final : public DeltaAdapter {
 public:
  // w1, or its first factor, is zero and the rest random.
  Lokr(const std::vector<AdapterTensor>& tensors, double scaling, at::Generator& generator) : scaling_(scaling) {
    for (const AdapterTensor& tensor : tensors) {
      const bool is_zero = tensor.suffix == "lokr_w1" || tensor.suffix == "lokr_w1_a";
      tensors_[tensor.suffix] = is_zero ? at::zeros(tensor.shape) : kaiming_uniform(tensor.shape, generator);
    }
  }

  std::vector<Part> parts() override {
    std::vector<Part> out;
    for (auto& [name, tensor] : tensors_) out.push_back({name, &tensor});
    return out;
  }

 private:
  bool has(const char* name) const { return tensors_.count(name) > 0; }

  at::Tensor delta_weight() const override {
    at::Tensor w1 = has("lokr_w1") ? tensors_.at("lokr_w1") : at::mm(tensors_.at("lokr_w1_a"), tensors_.at("lokr_w1_b"));
    const at::Tensor w2 = has("lokr_w2")   ? tensors_.at("lokr_w2")
                          : has("lokr_t2") ? cp_weight(tensors_.at("lokr_t2"), tensors_.at("lokr_w2_a"), tensors_.at("lokr_w2_b"))
                                           : at::mm(tensors_.at("lokr_w2_a"), tensors_.at("lokr_w2_b"));
    if (w2.dim() == 4) w1 = w1.unsqueeze(2).unsqueeze(3);
    return (at::kron(w1, w2.contiguous()) * scaling_).contiguous();
  }

  std::map<std::string, at::Tensor> tensors_;
  double scaling_;
};

}  // namespace

std::pair<std::int64_t, std::int64_t> lokr_factors(std::int64_t dimension, std::int64_t factor) {
  if (factor > 0 && dimension % factor == 0) return {factor, dimension / factor};
  const std::int64_t most = factor == -1 ? dimension : factor;
  std::int64_t small = 1, large = dimension;
  while (small < large) {
    std::int64_t next = small + 1;
    while (dimension % next != 0) ++next;
    if (next + dimension / next > dimension + 1 || next > most) break;
    small = next;
    large = dimension / next;
  }
  return std::minmax(small, large);
}

std::vector<AdapterTensor> lokr_tensors(const Node& node, const AdapterTarget& target, const AdapterConfig& config) {
  const WeightShape shape = weight_shape(node.op);
  const auto [in1, in2] = lokr_factors(shape.in, config.decompose_factor);
  const auto [out1, out2] = lokr_factors(shape.out, config.decompose_factor);
  const std::int64_t r = target.rank;
  const bool is_conv = std::holds_alternative<Conv2d>(node.op);
  const std::int64_t kh = shape.kernel[0], kw = shape.kernel[1];
  std::vector<AdapterTensor> out;
  if (config.decompose_both && 2 * r < std::max(out1, in1)) {
    out.push_back({"lokr_w1_a", {out1, r}});
    out.push_back({"lokr_w1_b", {r, in1}});
  } else {
    out.push_back({"lokr_w1", {out1, in1}});
  }
  if (2 * r >= std::max(out2, in2)) {
    out.push_back({"lokr_w2", is_conv ? std::vector<std::int64_t>{out2, in2, kh, kw} : std::vector<std::int64_t>{out2, in2}});
  } else if (is_conv && config.use_effective_conv2d && !shape.is_pointwise()) {
    out.push_back({"lokr_t2", {r, r, kh, kw}});
    out.push_back({"lokr_w2_a", {r, out2}});
    out.push_back({"lokr_w2_b", {r, in2}});
  } else {
    out.push_back({"lokr_w2_a", {out2, r}});
    out.push_back({"lokr_w2_b", {r, in2 * kh * kw}});
  }
  return out;
}

std::unique_ptr<LayerAdapter> make_lokr(const Node& node, const NodeTensors&, const AdapterTarget& target, const AdapterConfig& config, at::Generator& generator) {
  return std::make_unique<Lokr>(lokr_tensors(node, target, config), target.scaling, generator);
}

}  // namespace lorikeet
