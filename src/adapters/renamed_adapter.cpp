#include "adapters/renamed_adapter.h"

#include <cassert>

#include "adapters/ia3.h"
#include "adapters/layer_adapter.h"
#include "adapters/matching.h"
#include "adapters/pattern_table.h"

namespace lorikeet {
namespace {

bool belongs_to(const std::string& key, const Node& node) {
  return has_parameters(node.op) && key.starts_with(node.name) &&
         (key.size() == node.name.size() || key[node.name.size()] == '.');
}

// The node whose tensor it is. Of nodes within each other, as torch.nn.MultiheadAttention has them, the innermost.
std::optional<NodeId> node_of(const std::string& key, const Graph& graph) {
  std::optional<NodeId> found;
  for (NodeId id = 0; id < graph.nodes().size(); ++id) {
    if (belongs_to(key, graph.node(id)) && (!found || graph.node(*found).name.size() < graph.node(id).name.size()))
      found = id;
  }
  return found;
}

std::vector<std::string> names_of(const std::vector<NodeId>& nodes, const Graph& graph) {
  std::vector<std::string> out;
  for (const NodeId id : nodes) out.push_back(graph.node(id).name);
  return out;
}

}  // namespace

bool has_names_of(const NamedTensors& tensors, const Graph& graph) {
  for (const auto& [key, tensor] : tensors) {
    if (!is_head_tensor(key) && !is_shared_tensor(key) && !node_of(key, graph)) return false;
  }
  return true;
}

AdapterConfig renamed_config(const AdapterConfig& config, const Graph& from, const Graph& to) {
  assert(from.nodes().size() == to.nodes().size());
  const Matches found = match_modules(from, config);
  const CompiledPatterns alphas(config.alpha_pattern, "alpha_pattern");
  AdapterConfig out = config;
  clear_patterns(out);
  std::vector<NodeId> targets, feedforward;
  for (const auto& target : found.targets) {
    if (!target.module.empty()) continue;  // follows from another target
    const std::string& old = from.node(target.node).name;
    targets.push_back(target.node);
    if (is_feedforward(old, config)) feedforward.push_back(target.node);
    put_exact(out, to.node(target.node).name, target.rank, alphas.value(old, config.lora_alpha));
  }
  if (config.has_targets()) out.target_modules = exact_targets(to, names_of(targets, to));
  if (!std::holds_alternative<std::monostate>(config.feedforward_modules))
    out.feedforward_modules = names_of(feedforward, to);
  out.modules_to_save = names_of(found.retrained, to);
  return out;
}

AdapterFolder renamed_adapter(AdapterFolder folder, const Graph& from, const Graph& to) {
  folder.spec.config = renamed_config(folder.spec.config, from, to);
  NamedTensors tensors;
  for (const auto& [key, tensor] : folder.tensors) {
    const auto id = node_of(key, from);
    tensors.add(id ? to.node(*id).name + key.substr(from.node(*id).name.size()) : key, tensor);
  }
  tensors.metadata = folder.tensors.metadata;
  folder.tensors = std::move(tensors);
  return folder;
}

}  // namespace lorikeet
