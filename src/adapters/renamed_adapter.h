// Adapters that were made under other names of the same network: transformers 5 renamed modules of ViT, DeiT, BEiT,
// DINOv2 and Swin in memory, so that an adapter made over transformers 4 has other keys and other target_modules.
#pragma once

#include "adapters/adapter_config.h"
#include "adapters/adapter_folder.h"
#include "graph/graph.h"

namespace lorikeet {

/// Whether each of the adapter's tensors belongs to a module of the graph, by its name.
bool has_names_of(const NamedTensors& tensors, const Graph& graph);

/// The configuration under the names of `to`, node for node the network `from`. What its patterns match there becomes
/// lists and exact patterns. Throws UsageError as match_modules does.
AdapterConfig renamed_config(const AdapterConfig& config, const Graph& from, const Graph& to);

/// The folder under the names of `to`, with the keys of its tensors. REQUIRES: has_names_of(folder.tensors, from).
AdapterFolder renamed_adapter(AdapterFolder folder, const Graph& from, const Graph& to);

}  // namespace lorikeet
