#include "engine/fusion.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include <algorithm>
#include <limits>

namespace lorikeet {
namespace {

// Walks from a convolution towards the output for as long as the way does not branch.
class Fuser {
 public:
  Fuser(const Network& network, const Plan& plan)
      : network_(network), plan_(plan), nodes_(network.graph().nodes()), readers_(nodes_.size()),
        taken_(nodes_.size(), false) {
    for (NodeId id = 0; id < nodes_.size(); ++id) {
      for (const NodeId input : nodes_[id].inputs) readers_[input].push_back(id);
    }
  }

  std::vector<FusedStep> steps() {
    std::vector<FusedStep> out;
    for (NodeId id = 1; id < nodes_.size(); ++id) {
      if (!taken_[id]) out.push_back(step_from(id));
    }
    // A residual is computed between a convolution and its sum.
    std::sort(out.begin(), out.end(), [](const FusedStep& a, const FusedStep& b) { return a.output < b.output; });
    return out;
  }

 private:
  FusedStep step_from(NodeId id) {
    FusedStep step;
    step.first = step.output = id;
    taken_[id] = true;
    const auto* conv = std::get_if<Conv2d>(&nodes_[id].op);
    const LayerAdapter* adapter = network_.adapter(id);
    if (conv == nullptr || network_.is_retrained(id) || (adapter != nullptr && !adapter->low_rank())) return step;
    step.frozen_conv = true;
    if (const auto next = only_reader(step); next && std::holds_alternative<BatchNorm2d>(nodes_[*next].op)) {
      step.norm = take(step, *next);
    }
    if (const auto next = only_reader(step); next && std::holds_alternative<Add>(nodes_[*next].op)) {
      const auto& summands = nodes_[*next].inputs;
      const NodeId other = summands[0] == step.output ? summands[1] : summands[0];
      step.residual = other;
      take(step, *next);
    }
    if (const auto next = only_reader(step)) {
      if (const auto clamp = clamp_of(nodes_[*next].op)) {
        step.clamp = *clamp;
        take(step, *next);
      }
    }
    return step;
  }

  // The one node that reads the step's output so far, where it is free, learns nothing and is on the same side of the
  // border.
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
  const std::vector<Node>& nodes_;
  std::vector<std::vector<NodeId>> readers_;
  std::vector<bool> taken_;
};

// By what BatchNorm multiplies a convolution, in double: (out,); ones without BatchNorm.
at::Tensor exact_scale(const FusedStep& step, const Network& network) {
  if (!step.norm)
    return at::ones({std::get<Conv2d>(network.graph().node(step.first).op).out},
                    network.tensors(step.first).weight().options().dtype(at::kDouble));
  const NodeTensors& norm = network.tensors(*step.norm);
  return norm.weight().to(at::kDouble) /
         at::sqrt(norm["running_var"].to(at::kDouble) + std::get<BatchNorm2d>(network.graph().node(*step.norm).op).eps);
}

}  // namespace

std::optional<Clamp> clamp_of(const Op& op) {
  if (std::holds_alternative<Relu>(op)) return Clamp{0, std::numeric_limits<float>::infinity()};
  if (std::holds_alternative<Relu6>(op)) return Clamp{0, 6};
  return std::nullopt;
}

std::vector<NodeId> FusedStep::inputs(const Graph& graph) const {
  std::vector<NodeId> out = graph.node(first).inputs;
  if (residual) out.push_back(*residual);
  return out;
}

std::vector<FusedStep> fuse(const Network& network, const Plan& plan) { return Fuser(network, plan).steps(); }

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

at::Tensor folded_scale(const FusedStep& step, const Network& network) {
  return exact_scale(step, network).to(at::kFloat);
}

at::Tensor folded_bias(const FusedStep& step, const Network& network) {
  const at::Tensor scale = exact_scale(step, network);
  const at::Tensor& own = network.tensors(step.first).bias();
  const at::Tensor bias = own.defined() ? own.to(at::kDouble) : at::zeros_like(scale);
  if (!step.norm) return bias.to(at::kFloat);
  const NodeTensors& norm = network.tensors(*step.norm);
  return ((bias - norm["running_mean"].to(at::kDouble)) * scale + norm.bias().to(at::kDouble)).to(at::kFloat);
}

}  // namespace lorikeet
