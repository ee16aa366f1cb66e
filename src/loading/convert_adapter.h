// An adapter over one library's names of a network, rewritten for another library's names of it.
#pragma once

#include "adapters/adapter_folder.h"
#include "models/model_entry.h"

namespace lorikeet {

/// `adapter`, which is over `entry`'s graph, over the same network under the names of `to`. The function it computes is
/// the same. Where one Linear stands for three (timm's qkv, transformers' query, key and value), LoRA's lora_A is given
/// to each of the three and lora_B is cut in three; the other way the ranks are added up, lora_A is stacked and lora_B
/// becomes block-diagonal. The metadata stays as it is. Throws Error if the library does not have the network, or if
/// no adapter of the method over the other names computes the same.
AdapterFolder convert_adapter(const AdapterFolder& adapter, const ModelEntry& entry, Library to);

/// Base weights likewise: of `entry`'s graph, in the order and the shapes of the other library. Tensors of an added
/// head follow. Throws Error if the library does not have the network.
NamedTensors convert_weights(const NamedTensors& weights, const ModelEntry& entry, Library to);

/// The network with the names and shapes of the other library's parameters. REQUIRES: it is not run.
Graph converted_graph(const ModelEntry& entry, Library to);

}  // namespace lorikeet
