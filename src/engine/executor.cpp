#include "engine/executor.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>

#include <optional>

namespace lorikeet {
namespace {

// float32 runs in PyTorch's default layout, so that ATen takes the kernels that PyTorch takes and training follows it step
// by step; channels-last sums in another order, which twenty steps of AdamW magnify twentyfold.
at::MemoryFormat layout_for(at::ScalarType precision) {
  return precision == at::kFloat ? at::MemoryFormat::Contiguous : at::MemoryFormat::ChannelsLast;
}

class PlainExecutor final : public Executor {
 public:
  PlainExecutor(const Network& network, const ExecutorOptions& options)
      : network_(network), plan_(options.plan ? *options.plan : make_plan(network)), precision_(options.precision), layout_(layout_for(options.precision)), frozen_(network.graph().nodes().size()),
        uses_(network.graph().nodes().size(), 0) {
    const auto& nodes = network.graph().nodes();
    for (NodeId id = 0; id < nodes.size(); ++id) {
      for (const NodeId input : nodes[id].inputs) ++uses_[input];
      if (network.is_retrained(id)) continue;
      NodeTensors tensors = network.tensors(id);
      for (at::Tensor* tensor : {&tensors.weight, &tensors.bias}) {
        if (!tensor->defined() || std::holds_alternative<BatchNorm2d>(nodes[id].op)) continue;  // BatchNorm's stay float32
        *tensor = tensor->to(precision_);
        if (tensor->dim() == 4) *tensor = tensor->contiguous(layout_);
      }
      frozen_[id] = tensors;
    }
  }

  Frontier run_prefix(const at::Tensor& images) override {
    const at::NoGradGuard no_grad;
    std::vector<at::Tensor> outputs(network_.graph().nodes().size());
    outputs[0] = images.to(precision_).contiguous(layout_);
    run(outputs, /*prefix=*/true, /*training=*/false);
    Frontier frontier;
    for (const NodeId id : plan_.frontier) frontier.push_back(outputs[id]);
    return frontier;
  }

  at::Tensor run_rest(const Frontier& frontier, bool training) override {
    std::vector<at::Tensor> outputs(network_.graph().nodes().size());
    for (std::size_t i = 0; i < frontier.size(); ++i) outputs[plan_.frontier[i]] = frontier[i];
    run(outputs, /*prefix=*/false, training);
    return outputs.back().to(at::kFloat);
  }

  const Plan& plan() const override { return plan_; }

 private:
  // Fills `outputs` for the nodes of the prefix or of the rest, dropping each as soon as its last reader has run.
  void run(std::vector<at::Tensor>& outputs, bool prefix, bool training) const {
    const auto& nodes = network_.graph().nodes();
    std::vector<int> left = uses_;
    for (const NodeId id : plan_.frontier) left[id] += prefix ? 1 : 0;  // the frontier outlives the prefix
    for (NodeId id = 1; id < nodes.size(); ++id) {
      if ((plan_.segment[id] == Segment::kFrozenPrefix) != prefix) continue;
      outputs[id] = run_node(id, outputs, training);
      for (const NodeId input : nodes[id].inputs) {
        if (--left[input] == 0) outputs[input] = at::Tensor();
      }
    }
  }

  at::Tensor run_node(NodeId id, const std::vector<at::Tensor>& outputs, bool training) const {
    const Node& node = network_.graph().node(id);
    const at::Tensor& x = outputs[node.inputs[0]];
    const at::Tensor second = node.inputs.size() > 1 ? outputs[node.inputs[1]] : at::Tensor();
    at::Tensor y = apply(node.op, network_.is_retrained(id) ? cast(network_.tensors(id), node.op) : frozen_[id], x, second);
    if (const LoraLayer* layer = network_.lora(id)) y = y + lora_forward(*layer, node.op, x, training);
    return y;
  }

  NodeTensors cast(const NodeTensors& tensors, const Op& op) const {
    NodeTensors out = tensors;
    if (std::holds_alternative<BatchNorm2d>(op)) return out;
    out.weight = tensors.weight.to(precision_);
    if (tensors.bias.defined()) out.bias = tensors.bias.to(precision_);
    return out;
  }

  const Network& network_;
  Plan plan_;
  at::ScalarType precision_;
  at::MemoryFormat layout_;
  std::vector<NodeTensors> frozen_;  // in `precision_` and `layout_`
  std::vector<int> uses_;            // how many nodes read each output
};

}  // namespace

at::Tensor Executor::predict(const at::Tensor& images) {
  const at::NoGradGuard no_grad;
  return run_rest(run_prefix(images), /*training=*/false);
}

std::unique_ptr<Executor> make_plain_executor(const Network& network, const ExecutorOptions& options) {
  return std::make_unique<PlainExecutor>(network, options);
}

std::unique_ptr<Executor> make_executor(EngineKind kind, const Network& network, const ExecutorOptions& options) {
  return kind == EngineKind::kPlain ? make_plain_executor(network, options) : make_fused_executor(network, options);
}

}  // namespace lorikeet
