#include "engine/plan.h"

#include <algorithm>
#include <functional>
#include <numeric>

#include "graph/shapes.h"

namespace lorikeet {

Plan make_plan(const Network& network) {
  const auto& nodes = network.graph().nodes();
  Plan plan;
  for (NodeId id = 0; id < nodes.size(); ++id) {
    const auto& inputs = nodes[id].inputs;
    const bool after_learning =
        std::any_of(inputs.begin(), inputs.end(), [&](NodeId input) { return plan.segment[input] != Segment::kFrozenPrefix; });
    plan.segment.push_back(network.is_trained(id) ? Segment::kTrained
                           : after_learning       ? Segment::kDifferentiable
                                                  : Segment::kFrozenPrefix);
  }
  for (NodeId id = 0; id < nodes.size(); ++id) {
    if (plan.segment[id] == Segment::kFrozenPrefix) continue;
    for (const NodeId input : nodes[id].inputs) {
      const bool known = std::find(plan.frontier.begin(), plan.frontier.end(), input) != plan.frontier.end();
      if (plan.segment[input] == Segment::kFrozenPrefix && !known) plan.frontier.push_back(input);
    }
  }
  if (plan.frontier.empty()) plan.frontier.push_back(network.graph().output());
  return plan;
}

std::uint64_t frontier_bytes(const Plan& plan, const Graph& graph, std::int64_t height, std::int64_t width, std::uint64_t element_size) {
  const auto shapes = infer_shapes(graph, height, width);
  std::uint64_t total = 0;
  for (const NodeId id : plan.frontier) {
    total += static_cast<std::uint64_t>(std::accumulate(shapes[id].begin(), shapes[id].end(), std::int64_t{1}, std::multiplies<>())) * element_size;
  }
  return total;
}

}  // namespace lorikeet
