#include "adapters/target_sets.h"

#include <algorithm>
#include <set>

#include "adapters/attention.h"
#include "adapters/matching.h"
#include "base/error.h"
#include "base/text.h"
#include "graph/shapes.h"

namespace lorikeet {
namespace {

const std::vector<std::string>& set_names() {
  static const std::vector<std::string> kNames{"all-linear", "all-conv", "auto"};
  return kNames;
}

bool is_linear(const Op& op) { return std::holds_alternative<Linear>(op); }
bool is_conv(const Op& op) { return std::holds_alternative<Conv2d>(op); }
bool is_pointwise(const Conv2d& conv) { return conv.kernel == Pair{1, 1} && conv.groups == 1; }

template <typename Predicate>
std::vector<NodeId> nodes_where(const Graph& graph, const Predicate& holds) {
  std::vector<NodeId> out;
  for (NodeId id = 0; id < graph.nodes().size(); ++id) {
    if (holds(id)) out.push_back(id);
  }
  return out;
}

// The Linear that a value comes from, through operations without parameters.
std::optional<NodeId> source_linear(const Graph& graph, NodeId id) {
  while (!is_linear(graph.node(id).op)) {
    const Node& node = graph.node(id);
    if (node.inputs.size() != 1 || has_parameters(node.op)) return std::nullopt;
    id = node.inputs[0];
  }
  return id;
}

// Of each attention the packed projection, or of three the first and the last.
ChosenTargets attention_projections(const Graph& graph) {
  std::set<NodeId> chosen;
  bool is_packed = true;
  for (const Node& node : graph.nodes()) {
    if (!op_name(node.op).ends_with("Attention")) continue;
    const std::size_t projected = node.inputs.size() == 3 ? 3 : 1;  // the second of two holds Swin V2's position biases
    std::vector<NodeId> sources;
    for (std::size_t i = 0; i < projected; ++i) {
      if (const auto source = source_linear(graph, node.inputs[i]);
          source && std::find(sources.begin(), sources.end(), *source) == sources.end())
        sources.push_back(*source);
    }
    if (sources.size() == 3) sources.erase(sources.begin() + 1);
    is_packed = is_packed && sources.size() == 1;
    chosen.insert(sources.begin(), sources.end());
  }
  return {{chosen.begin(), chosen.end()},
          is_packed ? "the packed query, key and value projection of each attention layer"
                    : "the query and value projections of each attention layer, as in LoRA's paper"};
}

// Of a network of convolutions.
ChosenTargets last_stage(const Graph& graph, const std::vector<Shape>& shapes) {
  const auto is_map = [&](NodeId id) { return shapes[id].size() == 3 && shapes[id][1] > 1; };
  NodeId last = graph.output();
  while (last > 0 && !is_map(last)) --last;
  const auto is_there = [&](NodeId id) {
    return is_conv(graph.node(id).op) && is_map(id) && shapes[id][1] == shapes[last][1] &&
           shapes[id][2] == shapes[last][2];
  };
  const auto is_pointwise_there = [&](NodeId id) {
    return is_there(id) && is_pointwise(std::get<Conv2d>(graph.node(id).op));
  };
  const std::vector<NodeId> all = nodes_where(graph, is_there), pointwise = nodes_where(graph, is_pointwise_there);
  if (2 * pointwise.size() >= all.size())
    return {pointwise, "the 1×1 convolutions of the last stage; earlier layers need no gradient"};
  return {all, "the convolutions of the last stage, few of which are 1×1; earlier layers need no gradient"};
}

ChosenTargets automatic(const Graph& graph) {
  constexpr std::int64_t kSide = 224;
  if (ChosenTargets found = attention_projections(graph); !found.nodes.empty()) return found;
  const std::vector<Shape> shapes = infer_shapes(graph, kSide, kSide);
  const auto on_maps = nodes_where(
      graph, [&](NodeId id) { return is_linear(graph.node(id).op) && shapes[id].size() > 1 && id != graph.output(); });
  if (!on_maps.empty()) return {on_maps, "the Linear layers on feature maps, which have most of the weights"};
  return last_stage(graph, shapes);
}

}  // namespace

std::optional<TargetSet> target_set(const ModulePattern& pattern) {
  const auto* text = std::get_if<std::string>(&pattern);
  if (text == nullptr) return std::nullopt;
  const auto found = std::find(set_names().begin(), set_names().end(), lowercase(*text));
  if (found == set_names().end()) return std::nullopt;
  return static_cast<TargetSet>(found - set_names().begin());
}

ChosenTargets targets_of(TargetSet set, const Graph& graph, PeftType method) {
  if (set == TargetSet::kAllConv)
    return {nodes_where(graph, [&](NodeId id) { return is_conv(graph.node(id).op); }), "every Conv2d"};
  if (set == TargetSet::kAuto) {
    if (method != PeftType::kLnTuning) return automatic(graph);
    return {nodes_where(graph, [&](NodeId id) { return kind_of(graph.node(id).op) == OpKind::kNormalising; }),
            "every normalisation"};
  }
  return {nodes_where(graph,
                      [&](NodeId id) {
                        return is_linear(graph.node(id).op) && !attention_of_out_proj(graph, id) &&
                               !out_proj_of_attention(graph, id);
                      }),
          "every Linear"};
}

std::string expand_target_set(const Graph& graph, AdapterConfig& config) {
  const auto set = target_set(config.target_modules);
  if (!set) return {};
  const Matches found = match_modules(graph, config);
  std::vector<std::string> names;
  for (const auto& target : found.targets) {
    if (target.module.empty()) names.push_back(graph.node(target.node).name);  // others follow from one of these
  }
  const bool is_list_checked = std::holds_alternative<std::vector<std::string>>(config.feedforward_modules);
  config.target_modules = exact_targets(graph, names, /*as_expression=*/is_list_checked);
  const std::string which = names.size() == 1 ? names.front() : cat(names.front(), " to ", names.back());
  return cat("target_modules: ", set_names()[static_cast<std::size_t>(*set)], " selects ",
             counted(names.size(), "module"), ", ", which, ": ", targets_of(*set, graph, config.peft_type).reason);
}

}  // namespace lorikeet
