#include "graph/graph.h"

#include <cassert>
#include <functional>
#include <numeric>
#include <utility>

namespace lorikeet {

std::int64_t Parameter::count() const {
  return std::accumulate(shape.begin(), shape.end(), std::int64_t{1}, std::multiplies<>());
}

NodeId Graph::add(std::string name, Op op, std::vector<NodeId> inputs) {
  for ([[maybe_unused]] const NodeId input : inputs) assert(input < nodes_.size());
  assert(takes(op, inputs.size()));
  [[maybe_unused]] const bool is_new = by_name_.emplace(name, nodes_.size()).second;
  assert(is_new);
  nodes_.push_back({std::move(name), std::move(op), std::move(inputs)});
  return nodes_.size() - 1;
}

std::optional<NodeId> Graph::find(std::string_view name) const {
  const auto found = by_name_.find(std::string(name));
  if (found == by_name_.end()) return std::nullopt;
  return found->second;
}

void Graph::replace(NodeId id, Op op) {
  assert(op.index() == nodes_[id].op.index());
  nodes_[id].op = std::move(op);
}

std::vector<Parameter> Graph::parameters(NodeId id) const {
  const Node& node = nodes_[id];
  std::vector<Parameter> out;
  for (auto& parameter : parameters_of(node.op)) {
    out.push_back({node.name + "." + parameter.name, id, std::move(parameter.shape), parameter.buffer,
                   std::move(parameter.name)});
  }
  return out;
}

std::vector<Parameter> Graph::parameters() const {
  std::vector<Parameter> out;
  for (NodeId id = 0; id < nodes_.size(); ++id) {
    for (auto& parameter : parameters(id)) out.push_back(std::move(parameter));
  }
  return out;
}

std::int64_t output_features(const Graph& graph) { return std::get<Linear>(graph.node(graph.output()).op).out; }

}  // namespace lorikeet
