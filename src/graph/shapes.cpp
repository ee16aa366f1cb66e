#include "graph/shapes.h"

namespace lorikeet {
namespace {

std::vector<Shape> input_shapes(const Node& node, const std::vector<Shape>& shapes) {
  std::vector<Shape> out;
  for (const NodeId input : node.inputs) out.push_back(shapes[input]);
  return out;
}

}  // namespace

std::vector<Shape> infer_shapes(const Graph& graph, std::int64_t height, std::int64_t width) {
  std::vector<Shape> shapes;
  for (const Node& node : graph.nodes()) {
    std::vector<Shape> inputs = input_shapes(node, shapes);
    if (inputs.empty()) inputs.push_back({height, width});
    shapes.push_back(output_shape(node.op, inputs, node.name));
  }
  return shapes;
}

std::vector<std::int64_t> count_macs(const Graph& graph, std::int64_t height, std::int64_t width) {
  const auto shapes = infer_shapes(graph, height, width);
  std::vector<std::int64_t> out;
  for (NodeId id = 0; id < shapes.size(); ++id) {
    const Node& node = graph.node(id);
    out.push_back(macs(node.op, {input_shapes(node, shapes), shapes[id]}));
  }
  return out;
}

}  // namespace lorikeet
