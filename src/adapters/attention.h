// torch.nn.MultiheadAttention, as PEFT adapts it (lora.MultiheadAttention). In a graph the module X is a Linear X with
// the tensors X.in_proj_weight and X.in_proj_bias, an Attention, and a Linear X.out_proj. A target that matches X
// adapts X and X.out_proj together, with X's rank; the second is X.base_layer.out_proj in the adapter's file. PEFT adds
// the change of out_proj twice, in the layer and in the merged weight, so its scale is doubled here. It ignores an
// adapter of X.out_proj alone, whose forward() PyTorch does not call.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "adapters/adapter_folder.h"
#include "graph/graph.h"

namespace lorikeet {

/// The node X if `id` is X.out_proj of such a module.
std::optional<NodeId> attention_of_out_proj(const Graph& graph, NodeId id);

/// The node X.out_proj if `id` is X of such a module.
std::optional<NodeId> out_proj_of_attention(const Graph& graph, NodeId id);

/// Of a folder with adapters of X and X.out_proj apart, named by `targets`: makes them one target X, as PEFT reads it.
/// A missing one of the two is added with B zero. Throws Error if the method is not LoRA and one is missing or the
/// ranks differ. REQUIRES: rank_pattern and alpha_pattern are exact.
void join_attention(const Graph& graph, std::vector<std::string>& targets, AdapterFolder& folder);

/// X.out_proj in the file of an adapter of X.
std::string out_proj_module(const std::string& attention);

}  // namespace lorikeet
