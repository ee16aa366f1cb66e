#include "adapters/dora.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <mutex>
#include <vector>

namespace lorikeet {
namespace {

at::Tensor norms_of(const at::Tensor& weight) { return at::linalg_vector_norm(weight.flatten(1), 2, 1); }

// ‖W + ΔW‖ per output, (out,). If LoRA crosses groups, over all channels that it reads.
at::Tensor weight_norms(const LoraLayer& lora, const Node& node, const at::Tensor& weight) {
  const at::NoGradGuard no_grad;
  const at::Tensor W = weight.to(lora.lora_A.scalar_type());
  if (!lora.crosses_groups) return norms_of(W + lora_delta_weight(lora, node));
  const auto& conv = std::get<Conv2d>(node.op);
  at::Tensor dense = lora_dense_delta_weight(lora, node.op);
  for (std::int64_t g = 0; g < conv.groups; ++g) {
    const std::int64_t rows = conv.out / conv.groups, columns = conv.in / conv.groups;
    dense.narrow(0, g * rows, rows).narrow(1, g * columns, columns).add_(W.narrow(0, g * rows, rows));
  }
  return norms_of(dense);
}

// m / ‖W + ΔW‖. A filter of zeros (pruned weights) has no direction: its scale is 0 and it stays zero without gradient,
// where PEFT divides by zero.
at::Tensor scale_of(const at::Tensor& magnitude, const at::Tensor& norms) {
  const at::Tensor is_zero = norms == 0;
  return (magnitude / norms.masked_fill(is_zero, 1)).masked_fill(is_zero, 0);
}

// The norms of a layer's weights, computed again only after a tensor that they depend on was replaced or written to:
// once for all evaluations of a finished adapter. For any number of threads.
class CachedNorms {
 public:
  at::Tensor of(const LoraLayer& lora, const Node& node, const at::Tensor& weight) {
    std::vector<Revision> revisions;
    for (const at::Tensor* tensor : {&weight, &lora.lora_A, &lora.lora_B, &lora.initial_A, &lora.initial_B}) {
      if (!tensor->defined()) continue;
      if (tensor->is_inference()) return weight_norms(lora, node, weight);  // has no version
      revisions.push_back({WeakTensor(tensor->getIntrusivePtr()), tensor->_version()});
    }
    const std::lock_guard lock(mutex_);
    if (!norms_.defined() || revisions != revisions_) {
      norms_ = weight_norms(lora, node, weight);
      revisions_ = std::move(revisions);
    }
    return norms_;
  }

 private:
  using WeakTensor = c10::weak_intrusive_ptr<at::TensorImpl, at::UndefinedTensorImpl>;

  // A tensor and how often it was written to in place. The weak reference keeps its address from being used again.
  struct Revision {
    WeakTensor tensor;
    std::int64_t version;
    bool operator==(const Revision& other) const { return tensor == other.tensor && version == other.version; }
  };

  std::mutex mutex_;
  std::vector<Revision> revisions_;
  at::Tensor norms_;
};

class Dora final : public LayerAdapter {
 public:
  Dora(LoraLayer lora, Node node, const at::Tensor& weight) : lora_(std::move(lora)), node_(std::move(node)) {
    magnitude_ = weight_norms(lora_, node_, weight).reshape(per_output());
  }

  std::vector<Part> parts() override {
    return {{"lora_A.weight", &lora_.lora_A}, {"lora_B.weight", &lora_.lora_B}, {"lora_magnitude_vector", &magnitude_}};
  }

  at::Tensor forward(const Op& op, const NodeTensors& base, const at::Tensor& x, bool training) const override {
    const at::Tensor norms =
        training ? weight_norms(lora_, node_, base.weight()) : norms_.of(lora_, node_, base.weight());
    const at::Tensor scale = scale_of(magnitude_, norms.reshape(per_output())).to(x.scalar_type());
    NodeTensors without_bias = base;
    without_bias.set("bias", at::Tensor());
    if (training && lora_.dropout > 0) {
      // As in PEFT: the part that depends on the magnitude uses the input after dropout, the layer itself the input
      // before it.
      const at::Tensor input = dropped(lora_, x, training);
      return apply(op, base, x) + (scale - 1) * apply(op, without_bias, input) +
             scale * lora_forward(lora_, op, input, /*training=*/false);
    }
    const at::Tensor y = scale * (apply(op, without_bias, x) + lora_forward(lora_, op, x, /*training=*/false));
    return base.bias().defined() ? y + base.bias().view(per_output()) : y;
  }

  NodeTensors merged(const Node& node, const NodeTensors& base) const override {
    NodeTensors out = base;
    const at::Tensor sum = base.weight() + lora_delta_weight(lora_, node);
    out.set("weight", scaled_outputs(sum, scale_of(magnitude_.flatten(), norms_of(sum))));
    return out;
  }

  std::vector<std::pair<std::string, at::Tensor>> saved() const override {
    if (!lora_.initial_A.defined()) return LayerAdapter::saved();
    const LowRank both = with_initial(lora_, node_.op);
    return {{"lora_A.weight", both.lora_A.detach()},
            {"lora_B.weight", both.lora_B.detach()},
            {"lora_magnitude_vector", magnitude_.detach()}};
  }

  std::vector<Part> constants() override { return lora_.constants(); }
  void seed_dropout(std::uint64_t seed) override { lora_.seed_dropout(seed); }
  void moved(at::Device device) override { lora_.moved(device); }
  void loaded() override { lora_.loaded(node_.op); }

 private:
  // The shape in which one value per output multiplies the layer's output.
  std::vector<std::int64_t> per_output() const {
    return std::holds_alternative<Linear>(node_.op) ? std::vector<std::int64_t>{-1}
                                                    : std::vector<std::int64_t>{1, -1, 1, 1};
  }

  LoraLayer lora_;
  Node node_;
  at::Tensor magnitude_;
  mutable CachedNorms norms_;
};

}  // namespace

std::vector<AdapterTensor> dora_tensors(const Node& node, const AdapterTarget& target, const AdapterConfig& config) {
  std::vector<AdapterTensor> out = lora_tensors(node, target, config);
  const std::int64_t outputs = out[1].shape[0];
  const bool is_linear = std::holds_alternative<Linear>(node.op);
  out.push_back({"lora_magnitude_vector",
                 is_linear ? std::vector<std::int64_t>{outputs} : std::vector<std::int64_t>{1, outputs, 1, 1}});
  return out;
}

std::unique_ptr<LayerAdapter> make_dora(const Node& node, const NodeTensors& base, const AdapterTarget& target,
                                        const AdapterConfig& config, at::Generator& generator) {
  return std::make_unique<Dora>(start_lora(node, base.weight(), target, config, generator), node, base.weight());
}

}  // namespace lorikeet
