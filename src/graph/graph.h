// A network as data: operations with the dotted names of torchvision or timm, in the order in which those libraries
// register their modules. It has no tensors and no adapters; everything else is a pass over it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "ops/op.h"

namespace lorikeet {

using NodeId = std::size_t;

struct Node {
  std::string name;
  Op op;
  std::vector<NodeId> inputs;
  /// Prefix of the names of the node's tensors: "in_proj_" for torch.nn.MultiheadAttention's first projection, whose
  /// weight is "self_attention.in_proj_weight".
  std::string tensor_prefix = {};
};

/// A tensor that a node requires: `conv1.weight`, `bn1.running_mean` …
struct Parameter {
  std::string name;
  NodeId node;
  std::vector<std::int64_t> shape;
  /// Whether it is a statistic (a buffer in PyTorch) rather than a trainable parameter.
  bool buffer = false;
  /// Name within the node, without tensor_prefix: "weight".
  std::string key = {};

  std::int64_t count() const;
};

/// Nodes in topological order; the last is the output.
class Graph {
 public:
  /// Adds a node. REQUIRES: `name` is new, the inputs exist, and the operation accepts their number.
  NodeId add(std::string name, Op op, std::vector<NodeId> inputs);
  void set_tensor_prefix(NodeId id, std::string prefix) { nodes_[id].tensor_prefix = std::move(prefix); }

  /// Declares that the library registers the module or tensor `name` after those declared earlier, and before all
  /// others. Needed if it registers modules in another order than it runs them. `name` need not be a node.
  void declare(const std::string& name) { declared_.push_back(name); }

  const std::vector<Node>& nodes() const { return nodes_; }
  const Node& node(NodeId id) const { return nodes_[id]; }
  NodeId output() const { return nodes_.size() - 1; }
  std::optional<NodeId> find(std::string_view name) const;

  /// Replaces a node's operation by one of the same type (such as a classifier with another number of classes).
  void replace(NodeId id, Op op);

  /// The tensors of one node, in PyTorch's order.
  std::vector<Parameter> parameters(NodeId id) const;
  /// Returns the tensors of all nodes in the order of the library's state dict: a module's own tensors before those of
  /// its submodules, modules in the order of declare(), then of the nodes.
  std::vector<Parameter> parameters() const;

 private:
  std::vector<Node> nodes_;
  std::unordered_map<std::string, NodeId> by_name_;
  std::vector<std::string> declared_;
};

/// Number of output features of the last Linear node. REQUIRES: the output is a Linear node.
std::int64_t output_features(const Graph& graph);
/// Gives the last Linear node another number of features. REQUIRES: the output is a Linear node.
void set_output_features(Graph& graph, std::int64_t features);

/// For each node, the nodes that read its value.
std::vector<std::vector<NodeId>> readers_of(const Graph& graph);

}  // namespace lorikeet
