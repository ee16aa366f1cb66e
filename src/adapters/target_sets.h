// The sets of modules that target_modules can name instead of listing them: all-linear, which is PEFT's, all-conv, and
// auto, a choice by the structure of the network.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "adapters/adapter_config.h"
#include "graph/graph.h"

namespace lorikeet {

enum class TargetSet { kAllLinear, kAllConv, kAuto };

/// The set that the text names, in any case of its letters; none for a list or an expression.
std::optional<TargetSet> target_set(const ModulePattern& pattern);

struct ChosenTargets {
  /// In graph order.
  std::vector<NodeId> nodes;
  /// For people, why these: "the 1×1 convolutions of the last stage …".
  std::string reason;
};

/// The modules of the set, before exclude_modules and modules_to_save.
///   all-linear  every Linear, the output too, as in PEFT for models that are not of transformers, but not those of a
///               torch.nn.MultiheadAttention (adapters/attention.h), on which PEFT's adapters have no effect
///   all-conv    every Conv2d
///   auto        of a transformer the packed query, key and value projection of each attention, or its query and value;
///               of a network with Linear layers on its feature maps (ConvNeXt) these; of another the 1×1 convolutions
///               of the last stage, or if it has few all convolutions there. Of LN_TUNING every normalisation.
ChosenTargets targets_of(TargetSet set, const Graph& graph, PeftType method);

/// If target_modules names a set, replaces it by the modules that get an adapter, as a list, which PEFT reads, or as an
/// expression if a list would match others too. Returns what was chosen and why, for people; empty if there was no set.
/// Throws UsageError as match_modules does.
std::string expand_target_set(const Graph& graph, AdapterConfig& config);

}  // namespace lorikeet
