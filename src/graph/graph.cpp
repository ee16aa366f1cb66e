#include "graph/graph.h"

#include <algorithm>
#include <cassert>
#include <functional>
#include <map>
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
    out.push_back({parameter.name.empty() ? node.name : node.name + "." + node.tensor_prefix + parameter.name, id,
                   std::move(parameter.shape), parameter.buffer, std::move(parameter.name)});
  }
  return out;
}

std::vector<Parameter> Graph::parameters() const {
  std::vector<Parameter> out;
  for (NodeId id = 0; id < nodes_.size(); ++id) {
    for (auto& parameter : parameters(id)) out.push_back(std::move(parameter));
  }
  // PyTorch lists a module's own tensors before those of its submodules. The sort key of a tensor is the order of first
  // appearance (from 1) of each enclosing module, followed by 0.
  std::map<std::string, std::size_t> appearance;
  const auto containers = [&](const std::string& name) {
    std::vector<std::size_t> place;
    for (std::size_t dot = name.find('.'); dot != std::string::npos; dot = name.find('.', dot + 1))
      place.push_back(appearance.emplace(name.substr(0, dot), appearance.size() + 1).first->second);
    return place;
  };
  std::map<std::string, std::size_t> declared;  // tensors of their own
  for (const std::string& name : declared_) {
    containers(name + ".");
    declared.emplace(name, declared.size());
  }
  std::vector<std::pair<std::vector<std::size_t>, Parameter>> placed;
  for (auto& parameter : out) {
    std::vector<std::size_t> place = containers(parameter.name);
    const auto own = declared.find(parameter.name);
    place.insert(place.end(), {0, own == declared.end() ? declared.size() : own->second});
    placed.emplace_back(std::move(place), std::move(parameter));
  }
  std::stable_sort(placed.begin(), placed.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = std::move(placed[i].second);
  return out;
}

std::int64_t output_features(const Graph& graph) { return std::get<Linear>(graph.node(graph.output()).op).out; }

void set_output_features(Graph& graph, std::int64_t features) {
  Linear linear = std::get<Linear>(graph.node(graph.output()).op);
  linear.out = features;
  graph.replace(graph.output(), linear);
}

std::vector<std::vector<NodeId>> readers_of(const Graph& graph) {
  std::vector<std::vector<NodeId>> out(graph.nodes().size());
  for (NodeId id = 0; id < out.size(); ++id) {
    for (const NodeId input : graph.node(id).inputs) out[input].push_back(id);
  }
  return out;
}

}  // namespace lorikeet
