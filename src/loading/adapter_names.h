// Adapters and recipes that use transformers 4's names of a network whose graph has those of transformers 5.
#pragma once

#include <string>
#include <vector>

#include "adapters/adapter_folder.h"
#include "models/model_entry.h"

namespace lorikeet {

/// Puts the folder under the names of `graph`, that of `entry`, if its tensors have those of transformers 4. Returns
/// whether it did.
bool use_current_names(AdapterFolder& folder, const ModelEntry& entry, const Graph& graph);

/// Likewise the configuration of a new adapter, if no module of the graph is a target but one of transformers 4's is.
bool use_current_names(AdapterConfig& config, const ModelEntry& entry, const Graph& graph);

/// Resolves the targets of a new adapter: puts the names of transformers 4 under those of `graph` if only they match,
/// and replaces a set (adapters/target_sets.h) by its modules. Returns notes on what was done, and on modules where
/// PEFT has to merge the adapter (loading/bypassed_modules.h). Throws UsageError as check_every_entry_matches and
/// match_modules do.
std::vector<std::string> resolve_targets(AdapterConfig& config, const ModelEntry& entry, const Graph& graph);

}  // namespace lorikeet
