#include "adapters/lokr.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include <algorithm>

#include "adapters/delta_adapter.h"

namespace lorikeet {
namespace {

class Lokr final : public DeltaAdapter {
 public:
  // w1, or its first factor, is zero.
  Lokr(const std::vector<AdapterTensor>& tensors, double scaling, at::Generator& generator)
      : DeltaAdapter(tensors, {"lokr_w1", "lokr_w1_a"}, generator), scaling_(scaling) {}

 private:
  at::Tensor factor(const std::string& number) const {
    const std::string name = "lokr_w" + number;
    if (has(name)) return tensor(name);
    const at::Tensor &a = tensor(name + "_a"), &b = tensor(name + "_b");
    return has("lokr_t" + number) ? cp_weight(tensor("lokr_t" + number), a, b) : at::mm(a, b);
  }

  at::Tensor delta_weight() const override {
    at::Tensor w1 = factor("1");
    const at::Tensor w2 = factor("2").contiguous();
    if (w2.dim() == 4) w1 = w1.unsqueeze(2).unsqueeze(3);
    return (at::kron(w1, w2) * scaling_).contiguous();
  }

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
    out.push_back(
        {"lokr_w2", is_conv ? std::vector<std::int64_t>{out2, in2, kh, kw} : std::vector<std::int64_t>{out2, in2}});
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

std::unique_ptr<LayerAdapter> make_lokr(const Node& node, const NodeTensors&, const AdapterTarget& target,
                                        const AdapterConfig& config, at::Generator& generator) {
  return std::make_unique<Lokr>(lokr_tensors(node, target, config), target.scaling, generator);
}

}  // namespace lorikeet
