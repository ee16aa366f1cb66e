// PEFT's rules for which modules an adapter touches (peft 0.21, tuners_utils.check_target_module_exists): first
// exclude_modules, then modules_to_save, then target_modules.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "adapters/adapter_config.h"
#include "graph/graph.h"

namespace lorikeet {

/// A node that gets an adapter. Of methods without a rank the numbers mean nothing.
struct AdapterTarget {
  NodeId node;
  std::int64_t rank;
  /// alpha / rank, or alpha / √rank with rsLoRA.
  double scaling;
  /// Its name in the keys of the adapter's file, if that is not the node's.
  std::string module = {};
};

/// The module in the keys of the adapter's file: "layer1.0.conv1".
const std::string& module_name(const Graph& graph, const AdapterTarget& target);

struct Matches {
  std::vector<AdapterTarget> targets;
  /// Nodes with parameters that lie in modules_to_save.
  std::vector<NodeId> retrained;
  /// Nodes whose own bias is learned (`bias`), in graph order.
  std::vector<NodeId> biases;
};

/// Throws UsageError where target_modules or all of modules_to_save matches nothing (near misses are named), or where a
/// target is a module that the method cannot adapt. A text that names a set of modules (adapters/target_sets.h) is that
/// set.
Matches match_modules(const Graph& graph, const AdapterConfig& config);

/// Throws UsageError where a part of what somebody asks for has no effect: an entry of a list or a pattern that matches
/// nothing, a pattern that others precede for all that it matches, a number of no layer, a bias that no layer has. PEFT
/// lets that pass, with a warning at most, and so do adapters that are loaded: with task_type SEQ_CLS PEFT itself saves
/// "classifier" and "score", of which a model has one.
void check_every_entry_matches(const Graph& graph, const AdapterConfig& config);

/// target_modules for exactly these modules: a list of their names, as PEFT writes it, of any length, or if it would
/// select more, or `as_expression`, an expression, of which Regex limits the length.
ModulePattern exact_targets(const Graph& graph, const std::vector<std::string>& names, bool as_expression = false);

/// Whether PEFT's rule counts `name` in: a string is matched in full, a list entry is the name or a dotted suffix.
/// `field` is the name of the pattern, for messages.
bool matches(const ModulePattern& pattern, std::string_view name, const char* field = "target_modules");

/// Whether a list of these modules' names selects them and nothing else: "conv1" also selects every "….conv1".
bool selects_only(const Graph& graph, const std::vector<std::string>& names);

/// Whether `name` is `entry` or ends with "." + entry: a list of target_modules or exclude_modules.
bool is_name_or_suffix(std::string_view name, const std::string& entry);
/// Whether the module, or one that contains it, ends with an entry of modules_to_save, dot or no dot.
bool is_saved(const std::string& name, const std::string& entry);
/// Whether layers_to_transform and layers_pattern let `name` pass.
bool passes_layer_filter(const AdapterConfig& config, const std::string& name);

/// Throws UsageError where all of target_modules or of modules_to_save matches nothing.
void check_something_matches(const Graph& graph, const AdapterConfig& config);

/// The names of modules that `pattern` almost matches, the nearest first, among those whose operation is eligible.
std::vector<std::string> near_misses(const Graph& graph, std::string_view pattern, bool (*is_eligible)(const Op&),
                                     std::size_t count = 5);

}  // namespace lorikeet
