// A pass over the graph that groups nodes into steps. A frozen convolution or Linear is fused with the following
// BatchNorm or LayerScale, residual sum and activation, if no other node reads the values between them.
#pragma once

#include <optional>
#include <vector>

#include "engine/network.h"
#include "engine/plan.h"
#include "kernels/epilogue.h"

namespace lorikeet {

struct FusedStep {
  /// First node of the step: the frozen layer, or the only node of an unfused step.
  NodeId first = 0;
  /// The node whose value the step computes.
  NodeId output = 0;
  /// Whether `first` is a frozen Conv2d or Linear (with or without LoRA). Only then do the fields below apply.
  bool frozen_layer = false;
  std::optional<NodeId> norm;
  std::optional<NodeId> layer_scale;
  /// The other operand of the sum.
  std::optional<NodeId> residual;
  FusedActivation activation;

  /// The nodes whose values the step reads.
  std::vector<NodeId> inputs(const Graph& graph) const;
};

/// The activation that a step can include; none for any other operation.
std::optional<FusedActivation> activation_of(const Op& op);

/// The convolution that computes a frozen layer. REQUIRES: a Conv2d or a Linear.
Conv2d conv_of(const Op& op);

/// Assigns every node except the input to one step, and returns the steps in execution order. No step crosses the
/// frontier. The only trainable part of a fused step is LoRA on its layer.
std::vector<FusedStep> fuse(const Network& network, const Plan& plan);
/// The same, but the output layer is a separate step.
std::vector<FusedStep> fuse_except_output(const Network& network, const Plan& plan);

/// Makes every node except the input a separate step.
std::vector<FusedStep> single_steps(const Network& network, const Plan& plan);

/// Counts the steps of the prefix, or of the rest, that read each node's value. In the prefix, being part of the
/// frontier counts as one more.
std::vector<int> count_readers(const std::vector<FusedStep>& steps, const Graph& graph, const Plan& plan, bool prefix);

/// Whether each step is the last of its half of the plan to read its residual, and reads it once. The values of the
/// frontier are read later.
std::vector<bool> last_reads_of_residuals(const std::vector<FusedStep>& steps, const Graph& graph, const Plan& plan);

/// The scale of a frozen layer's BatchNorm and LayerScale: (out,) float32; ones without them. REQUIRES:
/// step.frozen_layer.
at::Tensor folded_scale(const FusedStep& step, const Network& network);
/// The bias of BatchNorm and the layer together: (out,) float32. REQUIRES: step.frozen_layer.
at::Tensor folded_bias(const FusedStep& step, const Network& network);

}  // namespace lorikeet
