// A pass over the graph: which nodes run as one step. A frozen convolution includes the BatchNorm after it, the
// residual sum after that, and the activation after that, if nothing else reads the values between them.
#pragma once

#include <optional>
#include <vector>

#include "engine/network.h"
#include "engine/plan.h"
#include "kernels/epilogue.h"

namespace lorikeet {

struct FusedStep {
  /// Where the step's value comes from: the convolution, or the one node of a step that fuses nothing.
  NodeId first = 0;
  /// The node whose value it computes.
  NodeId output = 0;
  /// Whether `first` is a frozen Conv2d (with or without LoRA), and the fields below say what it includes.
  bool frozen_conv = false;
  std::optional<NodeId> norm;
  /// The other summand.
  std::optional<NodeId> residual;
  Clamp clamp;

  /// The nodes whose values it reads.
  std::vector<NodeId> inputs(const Graph& graph) const;
};

/// The bounds of an activation; none for any other operation.
std::optional<Clamp> clamp_of(const Op& op);

/// Every node but the input belongs to one step; steps come in an order in which they can run. No step crosses the
/// border between frozen prefix and rest, and what is learned inside a step is LoRA on its convolution, nothing else.
std::vector<FusedStep> fuse(const Network& network, const Plan& plan);

/// Every node but the input as a separate step.
std::vector<FusedStep> single_steps(const Network& network, const Plan& plan);

/// How many steps of the prefix, or of the rest, read each node's value; in the prefix the reader of the frontier
/// counts as one more.
std::vector<int> count_readers(const std::vector<FusedStep>& steps, const Graph& graph, const Plan& plan, bool prefix);

/// By what a frozen convolution's BatchNorm multiplies it: (out,) float32; ones without BatchNorm. REQUIRES:
/// step.frozen_conv.
at::Tensor folded_scale(const FusedStep& step, const Network& network);
/// What BatchNorm and the convolution's own bias add, (out,) float32. REQUIRES: step.frozen_conv.
at::Tensor folded_bias(const FusedStep& step, const Network& network);

}  // namespace lorikeet
