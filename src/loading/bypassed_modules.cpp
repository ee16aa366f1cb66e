#include "loading/bypassed_modules.h"

#include <set>

namespace lorikeet {

std::vector<std::string> bypassed_modules(const ModelEntry& entry, const Graph& graph,
                                          const std::vector<AdapterTarget>& targets) {
  if (entry.library != Library::kTorchvision) return {};
  const auto is_window_attention = [&](NodeId id) {
    return std::holds_alternative<WindowAttention>(graph.node(id).op);
  };
  std::set<NodeId> bypassed;
  for (NodeId id = 0; id < graph.nodes().size(); ++id) {
    const Node& node = graph.node(id);
    if (is_window_attention(id)) bypassed.insert(node.inputs[0]);
    if (std::holds_alternative<Linear>(node.op) && is_window_attention(node.inputs[0])) bypassed.insert(id);
  }
  std::vector<std::string> out;
  for (const AdapterTarget& target : targets) {
    if (bypassed.contains(target.node)) out.push_back(graph.node(target.node).name);
  }
  return out;
}

}  // namespace lorikeet
