// Decides what an adapter does to a network, as a pass over the graph: which nodes get low-rank matrices, which are
// retrained whole, what the output becomes, what is put behind it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "adapters/lora_config.h"
#include "adapters/matching.h"
#include "graph/graph.h"

namespace lorikeet {

enum class Activation { kNone, kRelu };

/// Linear layers behind the network's own output: nodes head.0, head.1 … The article's is {512, 256}, 10 classes.
struct Head {
  std::vector<std::int64_t> hidden;
  std::int64_t classes = 0;
  /// Between the layers. The article's layers follow one another directly.
  Activation activation = Activation::kNone;
};

struct AdapterSpec {
  LoraConfig lora;
  /// The network's own last Linear gets this many outputs and new weights; it must be in modules_to_save.
  std::optional<std::int64_t> output_classes;
  std::optional<Head> head;
};

struct Adaptation {
  /// The base graph with the new output and the head.
  Graph graph;
  std::vector<LoraTarget> targets;
  /// Nodes of modules_to_save, in graph order.
  std::vector<NodeId> retrained;
  /// Nodes of the head, in graph order.
  std::vector<NodeId> head;
  /// Among `retrained`, the output that was replaced.
  std::optional<NodeId> replaced;
};

Adaptation adapt(const Graph& base, const AdapterSpec& spec);

/// Name, shape of every tensor that is learned: lora_A and lora_B, retrained modules, head.
std::vector<Parameter> trainable_parameters(const Adaptation& adaptation);

/// Learned numbers in all.
std::int64_t count_trainable(const Adaptation& adaptation);

}  // namespace lorikeet
