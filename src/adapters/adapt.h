// Determines how an adapter changes a network, as a pass over the graph: which nodes get an adapter, which are fully
// trained, of which only the bias is trained, and whether the output is replaced or a head is added.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "adapters/adapter_config.h"
#include "adapters/matching.h"
#include "adapters/small_output.h"
#include "graph/graph.h"

namespace lorikeet {

enum class Activation { kNone, kRelu };

/// Linear layers after the network's own output: nodes head.0, head.1 … The article uses {512, 256} for 10 classes.
struct Head {
  std::vector<std::int64_t> hidden;
  std::int64_t classes = 0;
  /// Activation between the layers. The article uses none.
  Activation activation = Activation::kNone;
};

struct AdapterSpec {
  AdapterConfig config;
  /// Replaces the network's last Linear with a new one with this many outputs. It must be in modules_to_save.
  std::optional<std::int64_t> output_classes;
  /// How the new output's weight is made from fewer numbers. Requires output_classes.
  std::optional<SmallOutput> small_output = std::nullopt;
  std::optional<Head> head = std::nullopt;
};

struct Adaptation {
  /// The base graph with the new output and the head.
  Graph graph;
  AdapterConfig config;
  std::vector<AdapterTarget> targets;
  /// Nodes of which only the bias is trained, in graph order.
  std::vector<NodeId> biases;
  /// Nodes of modules_to_save, in graph order.
  std::vector<NodeId> retrained;
  /// Nodes of the head, in graph order.
  std::vector<NodeId> head;
  /// The replaced output, one of `retrained`.
  std::optional<NodeId> replaced;
  /// How its weight is made from fewer numbers, if it is.
  std::optional<SmallOutput> small_output = std::nullopt;
};

Adaptation adapt(const Graph& base, const AdapterSpec& spec);

/// Key and shape of every tensor in the adapter's files: of the method, biases, fully trained modules and head.
/// Statistics, which are not trained, are marked as buffers.
std::vector<Parameter> adapter_parameters(const Adaptation& adaptation);

/// Those of adapter_parameters() that are trained.
std::vector<Parameter> trainable_parameters(const Adaptation& adaptation);

/// The key of a trained bias of the base. PEFT wraps adapted layers, which changes the key.
std::string bias_key(const std::string& module, bool has_adapter);

/// A layer whose adapter has at least as many parameters as the layer itself.
struct Oversized {
  std::string name;
  std::int64_t adapter = 0;
  std::int64_t layer = 0;
};
std::vector<Oversized> oversized_adapters(const Adaptation& adaptation);

/// Total number of trainable parameters.
std::int64_t count_trainable(const Adaptation& adaptation);

}  // namespace lorikeet
