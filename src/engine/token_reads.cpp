#include "engine/token_reads.h"

#include <type_traits>

namespace lorikeet {

bool is_token_wise(const Op& op) {
  return std::visit(
      [](const auto& one) {
        using T = std::decay_t<decltype(one)>;
        return std::is_base_of_v<Elementwise, T> || std::is_same_v<T, Linear> || std::is_same_v<T, LayerNorm>;
      },
      op);
}

std::vector<std::optional<std::int64_t>> only_tokens_read(const Graph& graph) {
  const auto& nodes = graph.nodes();
  std::vector<std::optional<std::int64_t>> only(nodes.size());
  const auto readers = readers_of(graph);
  const auto read_by = [&](NodeId reader) {
    if (const auto* take = std::get_if<TakeToken>(&nodes[reader].op)) return std::optional(take->index);
    return is_token_wise(nodes[reader].op) ? only[reader] : std::nullopt;
  };
  for (NodeId id = nodes.size(); id-- > 0;) {
    // What makes a value's tokens must be able to make one alone.
    if (!is_token_wise(nodes[id].op) && !std::holds_alternative<Attention>(nodes[id].op)) continue;
    if (readers[id].empty()) continue;
    only[id] = read_by(readers[id][0]);
    for (const NodeId reader : readers[id]) {
      if (read_by(reader) != only[id]) only[id] = std::nullopt;
    }
  }
  return only;
}

std::vector<Shape> computed_shapes(const Graph& graph, std::int64_t height, std::int64_t width) {
  std::vector<Shape> shapes = infer_shapes(graph, height, width);
  const auto only = only_tokens_read(graph);
  for (NodeId id = 0; id < shapes.size(); ++id) {
    if (only[id]) shapes[id][0] = 1;
  }
  return shapes;
}

}  // namespace lorikeet
