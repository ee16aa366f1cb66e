#include "models/transformer_block.h"

namespace lorikeet {

NodeId add_mlp(Graph& graph, const std::string& name, const TransformerBlock& block, NodeId input) {
  NodeId x = graph.add(name + ".mlp.fc1", Linear{block.width, block.hidden}, {input});
  x = graph.add(name + ".mlp.act", block.activation, {x});
  return graph.add(name + ".mlp.fc2", Linear{block.hidden, block.width}, {x});
}

NodeId add_transformer_block(Graph& graph, const std::string& name, const TransformerBlock& block, NodeId input) {
  const std::int64_t width = block.width;
  const auto scaled = [&](const char* scale, NodeId x) {
    return block.layer_scale ? graph.add(name + scale, LayerScale{width, false}, {x}) : x;
  };
  NodeId x = graph.add(name + ".norm1", LayerNorm{width, block.eps}, {input});
  x = graph.add(name + ".attn.qkv", Linear{width, 3 * width, block.qkv_bias}, {x});
  x = graph.add(name + ".attn", Attention{width, block.heads}, {x});
  x = graph.add(name + ".attn.proj", Linear{width, width}, {x});
  const NodeId middle = graph.add(name + ".add1", Add{}, {input, scaled(".ls1.gamma", x)});
  x = graph.add(name + ".norm2", LayerNorm{width, block.eps}, {middle});
  x = add_mlp(graph, name, block, x);
  return graph.add(name + ".add2", Add{}, {middle, scaled(".ls2.gamma", x)});
}

}  // namespace lorikeet
