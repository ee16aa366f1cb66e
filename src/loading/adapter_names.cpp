#include "loading/adapter_names.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "adapters/matching.h"
#include "adapters/renamed_adapter.h"
#include "adapters/target_sets.h"
#include "base/error.h"
#include "base/text.h"
#include "loading/bypassed_modules.h"

namespace lorikeet {
namespace {

// Node for node the entry's graph.
std::optional<Graph> transformers_4_graph(const ModelEntry& entry) {
  if (entry.library != Library::kTransformers || entry.names.transformers_4.empty()) return std::nullopt;
  return renamed(entry.network(), entry.names.transformers_4);
}

bool has_target(const Graph& graph, const ModulePattern& targets) {
  return std::any_of(graph.nodes().begin(), graph.nodes().end(), [&](const Node& node) {
    return has_parameters(node.op) && is_module(node.op) && matches(targets, node.name);
  });
}

}  // namespace

bool use_current_names(AdapterFolder& folder, const ModelEntry& entry, const Graph& graph) {
  if (folder.file || has_names_of(folder.tensors, graph)) return false;
  const auto old = transformers_4_graph(entry);
  if (!old || !has_names_of(folder.tensors, *old)) return false;
  folder = renamed_adapter(std::move(folder), *old, graph);
  return true;
}

bool use_current_names(AdapterConfig& config, const ModelEntry& entry, const Graph& graph) {
  if (!config.has_targets() || target_set(config.target_modules) || has_target(graph, config.target_modules))
    return false;
  const auto old = transformers_4_graph(entry);
  if (!old || !has_target(*old, config.target_modules)) return false;
  config = renamed_config(config, *old, graph);
  return true;
}

std::vector<std::string> resolve_targets(AdapterConfig& config, const ModelEntry& entry, const Graph& graph) {
  std::vector<std::string> notes;
  if (use_current_names(config, entry, graph))
    notes.emplace_back("target_modules has the module names of transformers 4; read as those of transformers 5");
  check_every_entry_matches(graph, config);
  if (std::string chosen = expand_target_set(graph, config); !chosen.empty()) notes.push_back(std::move(chosen));
  if (!config.has_targets()) return notes;
  if (const auto bypassed = bypassed_modules(entry, graph, match_modules(graph, config).targets); !bypassed.empty())
    notes.push_back(cat(join_first(bypassed, 1),
                        ": torchvision reads the weight without calling the module, so PEFT's adapter has no effect "
                        "there until merge_and_unload()"));
  return notes;
}

}  // namespace lorikeet
