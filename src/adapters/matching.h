// PEFT's rules for the modules that an adapter applies to (peft 0.21, tuners_utils.check_target_module_exists):
// exclude_modules, then modules_to_save, then target_modules.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "adapters/adapter_config.h"
#include "graph/graph.h"

namespace lorikeet {

/// A node with an adapter. The members have no meaning for methods without a rank.
struct AdapterTarget {
  NodeId node;
  /// Of FourierFT, the number of frequencies.
  std::int64_t rank;
  /// alpha / rank, or alpha / √rank with rsLoRA.
  double scaling;
  /// Its name in the keys of the adapter's file, if that is not the node's.
  std::string module = {};
};

/// The module in the keys of the adapter's file: "layer1.0.conv1".
const std::string& module_name(const Graph& graph, const AdapterTarget& target);

/// The target of the node; null if it is none.
const AdapterTarget* find_target(const std::vector<AdapterTarget>& targets, std::optional<NodeId> id);

struct Matches {
  std::vector<AdapterTarget> targets;
  /// Nodes with parameters that belong to modules_to_save.
  std::vector<NodeId> retrained;
  /// Nodes whose own bias is trained (`bias`), in graph order.
  std::vector<NodeId> biases;
};

/// Throws UsageError if target_modules or all of modules_to_save match nothing (with near misses), or if a target is a
/// module that the method cannot adapt. A string that names a set of modules (adapters/target_sets.h) selects that set.
Matches match_modules(const Graph& graph, const AdapterConfig& config);

/// Throws UsageError if a part of the configuration has no effect: a list entry or pattern without a match, a pattern
/// hidden by earlier ones, a layer number that does not exist, a bias option without biases. PEFT accepts these, at
/// most with a warning, and so does loading an adapter: with task_type SEQ_CLS, PEFT itself saves "classifier" and
/// "score", although a model has only one of them.
void check_every_entry_matches(const Graph& graph, const AdapterConfig& config);

/// Returns target_modules for exactly these modules: a list of their names of any length, as PEFT writes it, or, if
/// that would select more or `as_expression` is set, a regular expression, whose length Regex limits.
ModulePattern exact_targets(const Graph& graph, const std::vector<std::string>& names, bool as_expression = false);

/// Whether PEFT's rule selects `name`: a string must match the full name; a list entry is the name or a dotted suffix.
/// `field` names the pattern in messages.
bool matches(const ModulePattern& pattern, std::string_view name, const char* field = "target_modules");

/// Whether a list of these names selects only these modules: "conv1" would also select every "….conv1".
bool selects_only(const Graph& graph, const std::vector<std::string>& names);

/// Whether `name` is `entry` or ends with "." + entry: the rule for lists in target_modules and exclude_modules.
bool is_name_or_suffix(std::string_view name, const std::string& entry);
/// Whether the module, or one that contains it, ends with an entry of modules_to_save, with or without a dot before it.
bool is_saved(const std::string& name, const std::string& entry);
/// Whether layers_to_transform and layers_pattern allow `name`.
bool passes_layer_filter(const AdapterConfig& config, const std::string& name);

/// Throws UsageError if target_modules or modules_to_save match nothing at all.
void check_something_matches(const Graph& graph, const AdapterConfig& config);

/// Returns names of modules that `pattern` almost matches, nearest first, among those with an eligible operation.
std::vector<std::string> near_misses(const Graph& graph, std::string_view pattern, bool (*is_eligible)(const Op&),
                                     std::size_t count = 5);

}  // namespace lorikeet
