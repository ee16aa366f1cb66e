// Decides what an adapter does to a network, as a pass over the graph: which nodes get an adapter, which are retrained
// in full, of which only the bias is learned, what the output becomes, what follows it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "adapters/adapter_config.h"
#include "adapters/matching.h"
#include "graph/graph.h"

namespace lorikeet {

enum class Activation { kNone, kRelu };

/// Linear layers after the network's own output: nodes head.0, head.1 … The article's is {512, 256}, 10 classes.
struct Head {
  std::vector<std::int64_t> hidden;
  std::int64_t classes = 0;
  /// Between the layers. The article's layers follow one another directly.
  Activation activation = Activation::kNone;
};

struct AdapterSpec {
  AdapterConfig config;
  /// The network's own last Linear gets this many outputs and new weights; it must be in modules_to_save.
  std::optional<std::int64_t> output_classes;
  std::optional<Head> head;
};

struct Adaptation {
  /// The base graph with the new output and the head.
  Graph graph;
  AdapterConfig config;
  std::vector<AdapterTarget> targets;
  /// Nodes of which only the bias is learned, in graph order.
  std::vector<NodeId> biases;
  /// Nodes of modules_to_save, in graph order.
  std::vector<NodeId> retrained;
  /// Nodes of the head, in graph order.
  std::vector<NodeId> head;
  /// Among `retrained`, the output that was replaced.
  std::optional<NodeId> replaced;
};

Adaptation adapt(const Graph& base, const AdapterSpec& spec);

/// Key and shape of every tensor that the adapter's files hold: of the methods, biases, retrained modules, head.
/// Statistics, which are not learned, are marked as buffers.
std::vector<Parameter> adapter_parameters(const Adaptation& adaptation);

/// Of these, those that are learned.
std::vector<Parameter> trainable_parameters(const Adaptation& adaptation);

/// The key of a learned bias of the base: PEFT puts a layer with an adapter into another module.
std::string bias_key(const std::string& module, bool has_adapter);

/// A layer whose adapter has at least as many numbers as the layer itself.
struct Oversized {
  std::string name;
  std::int64_t adapter = 0;
  std::int64_t layer = 0;
};
std::vector<Oversized> oversized_adapters(const Adaptation& adaptation);

/// Learned numbers in all.
std::int64_t count_trainable(const Adaptation& adaptation);

}  // namespace lorikeet
