#include "engine/fusion.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include <algorithm>
#include <limits>

#include "kernels/frozen_conv.h"

namespace lorikeet {
namespace {

// Follows the graph from a frozen layer towards the output, up to the first branch.
class Fuser {
 public:
  Fuser(const Network& network, const Plan& plan, bool with_output)
      : network_(network), plan_(plan), with_output_(with_output), nodes_(network.graph().nodes()),
        readers_(readers_of(network.graph())), taken_(nodes_.size(), false) {}

  std::vector<FusedStep> steps() {
    std::vector<FusedStep> out;
    for (NodeId id = 1; id < nodes_.size(); ++id) {
      if (!taken_[id]) out.push_back(step_from(id));
    }
    // A step also waits for its residual, so steps run in the order of their outputs.
    std::sort(out.begin(), out.end(), [](const FusedStep& a, const FusedStep& b) { return a.output < b.output; });
    return out;
  }

 private:
  FusedStep step_from(NodeId id) {
    FusedStep step;
    step.first = step.output = id;
    taken_[id] = true;
    const Op& op = nodes_[id].op;
    const bool is_layer = (std::holds_alternative<Conv2d>(op) || std::holds_alternative<Linear>(op)) &&
                          (with_output_ || id != network_.graph().output());
    const LayerAdapter* adapter = network_.adapter(id);
    if (!is_layer || network_.is_retrained(id) || (adapter != nullptr && !adapter->low_rank())) return step;
    step.frozen_layer = true;
    if (const auto next = only_reader(step); next && std::holds_alternative<BatchNorm2d>(nodes_[*next].op)) {
      step.norm = take(step, *next);
    }
    if (const auto next = only_reader(step); next && std::holds_alternative<LayerScale>(nodes_[*next].op)) {
      step.layer_scale = take(step, *next);
    }
    if (const auto next = only_reader(step); next && std::holds_alternative<Add>(nodes_[*next].op)) {
      const auto& summands = nodes_[*next].inputs;
      const NodeId other = summands[0] == step.output ? summands[1] : summands[0];
      step.residual = other;
      take(step, *next);
    }
    if (const auto next = only_reader(step)) {
      if (const auto activation = activation_of(nodes_[*next].op)) {
        step.activation = *activation;
        take(step, *next);
      }
    }
    return step;
  }

  // Returns the only node that reads the step's output, if it is not fused yet, has no trainable tensors and is on the
  // same side of the frontier.
  std::optional<NodeId> only_reader(const FusedStep& step) const {
    const auto& readers = readers_[step.output];
    if (readers.size() != 1 || taken_[readers[0]] || network_.is_trained(readers[0])) return std::nullopt;
    const auto in_prefix = [&](NodeId id) { return plan_.segment[id] == Segment::kFrozenPrefix; };
    return in_prefix(readers[0]) == in_prefix(step.first) ? std::optional(readers[0]) : std::nullopt;
  }

  NodeId take(FusedStep& step, NodeId id) {
    taken_[id] = true;
    step.output = id;
    return id;
  }

  const Network& network_;
  const Plan& plan_;
  bool with_output_;
  const std::vector<Node>& nodes_;
  std::vector<std::vector<NodeId>> readers_;
  std::vector<bool> taken_;
};

// All in double, (out,). Ones without LayerScale.
at::Tensor layer_scale_of(const FusedStep& step, const Network& network) {
  const at::Tensor& weight = network.tensors(step.first).weight();
  if (!step.layer_scale) return at::ones({weight.size(0)}, weight.options().dtype(at::kDouble));
  return network.tensors(*step.layer_scale)[""].to(at::kDouble).flatten();
}

at::Tensor exact_scale(const FusedStep& step, const Network& network) {
  const at::Tensor scale = layer_scale_of(step, network);
  if (!step.norm) return scale;
  const NodeTensors& norm = network.tensors(*step.norm);
  const double eps = std::get<BatchNorm2d>(network.graph().node(*step.norm).op).eps;
  return scale * norm.weight().to(at::kDouble) / at::sqrt(norm["running_var"].to(at::kDouble) + eps);
}

}  // namespace

std::optional<FusedActivation> activation_of(const Op& op) {
  if (std::holds_alternative<Relu>(op)) return FusedActivation{.clamp = {0, std::numeric_limits<float>::infinity()}};
  if (std::holds_alternative<Relu6>(op)) return FusedActivation{.clamp = {0, 6}};
  if (const auto* gelu = std::get_if<Gelu>(&op)) {
    return FusedActivation{.smooth =
                               gelu->form == GeluForm::kTanh ? SmoothActivation::kGeluTanh : SmoothActivation::kGelu};
  }
  if (std::holds_alternative<Silu>(op)) return FusedActivation{.smooth = SmoothActivation::kSilu};
  if (std::holds_alternative<HardSwish>(op)) return FusedActivation{.smooth = SmoothActivation::kHardSwish};
  return std::nullopt;
}

Conv2d conv_of(const Op& op) {
  const auto* linear = std::get_if<Linear>(&op);
  return linear == nullptr ? std::get<Conv2d>(op) : pointwise_conv(*linear);
}

std::vector<NodeId> FusedStep::inputs(const Graph& graph) const {
  std::vector<NodeId> out = graph.node(first).inputs;
  if (residual) out.push_back(*residual);
  return out;
}

std::vector<FusedStep> fuse(const Network& network, const Plan& plan) {
  return Fuser(network, plan, /*with_output=*/true).steps();
}

std::vector<FusedStep> fuse_except_output(const Network& network, const Plan& plan) {
  return Fuser(network, plan, /*with_output=*/false).steps();
}

std::vector<FusedStep> single_steps(const Network& network, const Plan&) {
  std::vector<FusedStep> out(network.graph().nodes().size() - 1);
  for (std::size_t i = 0; i < out.size(); ++i) out[i].first = out[i].output = i + 1;
  return out;
}

std::vector<int> count_readers(const std::vector<FusedStep>& steps, const Graph& graph, const Plan& plan, bool prefix) {
  std::vector<int> out(graph.nodes().size(), 0);
  for (const FusedStep& step : steps) {
    if ((plan.segment[step.first] == Segment::kFrozenPrefix) != prefix) continue;
    for (const NodeId input : step.inputs(graph)) ++out[input];
  }
  if (prefix) {
    for (const NodeId id : plan.frontier) ++out[id];
  }
  return out;
}

std::vector<bool> last_reads_of_residuals(const std::vector<FusedStep>& steps, const Graph& graph, const Plan& plan) {
  std::vector<bool> out(steps.size(), false);
  for (const bool prefix : {true, false}) {
    std::vector<int> left = count_readers(steps, graph, plan, prefix);
    for (std::size_t i = 0; i < steps.size(); ++i) {
      if ((plan.segment[steps[i].first] == Segment::kFrozenPrefix) != prefix) continue;
      out[i] = steps[i].residual && left[*steps[i].residual] == 1;
      for (const NodeId input : steps[i].inputs(graph)) --left[input];
    }
  }
  return out;
}

at::Tensor folded_scale(const FusedStep& step, const Network& network) {
  return exact_scale(step, network).to(at::kFloat);
}

at::Tensor folded_bias(const FusedStep& step, const Network& network) {
  const at::Tensor scale = exact_scale(step, network);
  const at::Tensor& own = network.tensors(step.first).bias();
  const at::Tensor bias = own.defined() ? own.to(at::kDouble) : at::zeros_like(scale);
  if (!step.norm) return (bias * scale).to(at::kFloat);
  const NodeTensors& norm = network.tensors(*step.norm);
  const at::Tensor shift = norm.bias().to(at::kDouble) * layer_scale_of(step, network);
  return ((bias - norm["running_mean"].to(at::kDouble)) * scale + shift).to(at::kFloat);
}

}  // namespace lorikeet
