// The block of vision transformers (Dosovitskiy et al., 2021, arXiv:2010.11929) under timm's names: attention and two
// Linear layers, each after a LayerNorm and added to its input.
#pragma once

#include <string>

#include "graph/graph.h"

namespace lorikeet {

struct TransformerBlock {
  std::int64_t width = 768;
  std::int64_t heads = 12;
  /// Features between the two Linear layers.
  std::int64_t hidden = 4 * 768;
  double eps = 1e-6;
  Op activation = Gelu{};
  bool qkv_bias = true;
  bool layer_scale = false;
};

/// Adds NAME.mlp.fc1, its activation and NAME.mlp.fc2 over `input` (N, …, width) and returns the last node.
NodeId add_mlp(Graph& graph, const std::string& name, const TransformerBlock& block, NodeId input);

/// Adds NAME.norm1, NAME.attn.qkv … over `input` (N, …, tokens, width) and returns the last node.
NodeId add_transformer_block(Graph& graph, const std::string& name, const TransformerBlock& block, NodeId input);

}  // namespace lorikeet
