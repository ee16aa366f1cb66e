// A pass over the graph: which nodes run as one step. A frozen convolution or Linear includes the BatchNorm or the
// LayerScale after it, the residual sum after that, and the activation after that, if nothing else reads the values
// between them.
#pragma once

#include <optional>
#include <vector>

#include "engine/network.h"
#include "engine/plan.h"
#include "kernels/epilogue.h"

namespace lorikeet {

struct FusedStep {
  /// Where the step's value comes from: the frozen layer, or the one node of a step that fuses nothing.
  NodeId first = 0;
  /// The node whose value it computes.
  NodeId output = 0;
  /// Whether `first` is a frozen Conv2d or Linear (with or without LoRA), and the fields below say what it includes.
  bool frozen_layer = false;
  std::optional<NodeId> norm;
  std::optional<NodeId> layer_scale;
  /// The other summand.
  std::optional<NodeId> residual;
  FusedActivation activation;

  /// The nodes whose values it reads.
  std::vector<NodeId> inputs(const Graph& graph) const;
};

/// What a step may include as an activation; none for any other operation.
std::optional<FusedActivation> activation_of(const Op& op);

/// The convolution that a frozen layer runs as. REQUIRES: a Conv2d or a Linear.
Conv2d conv_of(const Op& op);

/// Every node but the input belongs to one step; steps come in an order in which they can run. No step crosses the
/// border between frozen prefix and rest, and what is learned inside a step is LoRA on its layer, nothing else.
std::vector<FusedStep> fuse(const Network& network, const Plan& plan);
/// The same, but every Linear and what follows it are separate steps.
std::vector<FusedStep> fuse_convolutions(const Network& network, const Plan& plan);

/// Every node but the input as a separate step.
std::vector<FusedStep> single_steps(const Network& network, const Plan& plan);

/// How many steps of the prefix, or of the rest, read each node's value; in the prefix the reader of the frontier
/// counts as one more.
std::vector<int> count_readers(const std::vector<FusedStep>& steps, const Graph& graph, const Plan& plan, bool prefix);

/// By what a frozen layer's BatchNorm and LayerScale multiply it: (out,) float32; ones without them. REQUIRES:
/// step.frozen_layer.
at::Tensor folded_scale(const FusedStep& step, const Network& network);
/// What BatchNorm and the layer's own bias add after that, (out,) float32. REQUIRES: step.frozen_layer.
at::Tensor folded_bias(const FusedStep& step, const Network& network);

}  // namespace lorikeet
