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
};

struct Matches {
  std::vector<AdapterTarget> targets;
  /// Nodes with parameters that lie in modules_to_save.
  std::vector<NodeId> retrained;
};

/// Throws UsageError where a pattern or a whole list matches nothing (near misses are named), or where it matches a
/// module that the method cannot adapt.
Matches match_modules(const Graph& graph, const AdapterConfig& config);

/// Throws UsageError where a single entry of a list matches nothing. PEFT lets that pass where another matches, and so
/// do adapters that are loaded: with task_type SEQ_CLS PEFT itself saves "classifier" and "score", of which a model has
/// one. In what somebody asks for it is a slip.
void check_every_entry_matches(const Graph& graph, const AdapterConfig& config);

/// Whether PEFT's rule counts `name` in: a string is matched in full, a list entry is the name or a dotted suffix.
/// `field` is where the pattern stands, for messages.
bool matches(const ModulePattern& pattern, std::string_view name, const char* field = "target_modules");

/// The names of modules that `pattern` almost matches, the nearest first, among those whose operation is eligible.
std::vector<std::string> near_misses(const Graph& graph, std::string_view pattern, bool (*is_eligible)(const Op&),
                                     std::size_t count = 5);

}  // namespace lorikeet
