#include "engine/plan.h"

#include <algorithm>
#include <limits>

#include "engine/token_reads.h"
#include "graph/shapes.h"

namespace lorikeet {

namespace {

void find_frontier(Plan& plan, const Graph& graph) {
  plan.frontier.clear();
  for (NodeId id = 0; id < graph.nodes().size(); ++id) {
    if (plan.segment[id] == Segment::kFrozenPrefix) continue;
    for (const NodeId input : graph.node(id).inputs) {
      const bool known = std::find(plan.frontier.begin(), plan.frontier.end(), input) != plan.frontier.end();
      if (plan.segment[input] == Segment::kFrozenPrefix && !known) plan.frontier.push_back(input);
    }
  }
  if (plan.frontier.empty()) plan.frontier.push_back(graph.output());
}

std::vector<Shape> shapes_of(const Graph& graph, const ImageCost& image) {
  return image.all_tokens ? infer_shapes(graph, image.height, image.width)
                          : computed_shapes(graph, image.height, image.width);
}

std::uint64_t bytes_of(const Plan& plan, const std::vector<std::vector<std::int64_t>>& shapes,
                       std::uint64_t element_size) {
  std::uint64_t total = 0;
  for (const NodeId id : plan.frontier) {
    total += element_count(shapes[id]) * element_size;
  }
  return total;
}

}  // namespace

bool is_frozen(Segment segment) { return segment == Segment::kFrozenPrefix || segment == Segment::kFrozenAfterCut; }

Plan make_plan(const Network& network) {
  const auto& nodes = network.graph().nodes();
  Plan plan;
  for (NodeId id = 0; id < nodes.size(); ++id) {
    const auto& inputs = nodes[id].inputs;
    const bool after_learning =
        std::any_of(inputs.begin(), inputs.end(), [&](NodeId input) { return !is_frozen(plan.segment[input]); });
    plan.segment.push_back(network.is_trained(id) ? Segment::kTrained
                           : after_learning       ? Segment::kDifferentiable
                                                  : Segment::kFrozenPrefix);
  }
  find_frontier(plan, network.graph());
  return plan;
}

std::vector<Plan> plans_with_common_prefix(const std::vector<const Network*>& networks) {
  std::vector<Plan> plans;
  for (const Network* network : networks) plans.push_back(make_plan(*network));
  // Heads follow the base's nodes, whose ids are equal in all networks.
  std::size_t shared = std::numeric_limits<std::size_t>::max();
  for (const Plan& plan : plans) shared = std::min(shared, plan.segment.size());
  const auto in_every_prefix = [&](NodeId id) {
    return id < shared && std::all_of(plans.begin(), plans.end(),
                                      [id](const Plan& plan) { return plan.segment[id] == Segment::kFrozenPrefix; });
  };
  std::vector<bool> common;
  for (NodeId id = 0; id < shared; ++id) common.push_back(in_every_prefix(id));
  for (std::size_t i = 0; i < plans.size(); ++i) {
    for (NodeId id = 0; id < plans[i].segment.size(); ++id) {
      Segment& segment = plans[i].segment[id];
      if (segment == Segment::kFrozenPrefix && (id >= shared || !common[id])) segment = Segment::kFrozenAfterCut;
    }
    find_frontier(plans[i], networks[i]->graph());
  }
  return plans;
}

std::uint64_t frontier_bytes(const Plan& plan, const Graph& graph, const ImageCost& image) {
  return bytes_of(plan, shapes_of(graph, image), image.element_size);
}

namespace {

// Ends the prefix with node `last`.
Plan cut_after(const Plan& plan, const Graph& graph, NodeId last) {
  Plan cut = plan;
  for (NodeId id = last + 1; id < cut.segment.size(); ++id) {
    if (cut.segment[id] == Segment::kFrozenPrefix) cut.segment[id] = Segment::kFrozenAfterCut;
  }
  find_frontier(cut, graph);
  return cut;
}

}  // namespace

Plan cut_prefix(const Plan& plan, const Graph& graph, const ImageCost& image, std::uint64_t limit) {
  const auto shapes = shapes_of(graph, image);
  const auto macs = count_macs(graph, image.height, image.width);
  Plan best = plan;
  std::int64_t most = 0;
  std::int64_t saved = 0;
  for (NodeId last = 1; last < graph.nodes().size(); ++last) {  // the last node of the prefix
    if (plan.segment[last] != Segment::kFrozenPrefix) continue;
    saved += macs[last];
    Plan cut = cut_after(plan, graph, last);
    // On a tie, the later cut, which also saves operations without multiply-adds, such as pooling.
    if (saved >= most && saved > 0 && bytes_of(cut, shapes, image.element_size) <= limit) {
      most = saved;
      best = std::move(cut);
    }
  }
  return best;
}

bool is_cut_of(const Plan& plan, const Plan& full, const Graph& graph) {
  const auto equals = [&](const Plan& other) {
    return plan.segment == other.segment && plan.frontier == other.frontier;
  };
  if (equals(full)) return true;
  if (plan.segment.size() != full.segment.size()) return false;
  const auto last = std::find(plan.segment.rbegin(), plan.segment.rend(), Segment::kFrozenPrefix);
  if (last == plan.segment.rend()) return false;
  return equals(cut_after(full, graph, static_cast<NodeId>(plan.segment.rend() - last - 1)));
}

}  // namespace lorikeet
