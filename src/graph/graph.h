// A network as data: operations with the dotted names of torchvision or timm, in the order in which those libraries
// register their modules. It holds no tensors and knows no adapter; everything else is a pass over it.
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
  /// Put before the names of the node's tensors: "in_proj_" for torch.nn.MultiheadAttention's first projection, whose
  /// weight is "self_attention.in_proj_weight".
  std::string tensor_prefix = {};
};

/// A tensor that a node needs: `conv1.weight`, `bn1.running_mean` …
struct Parameter {
  std::string name;
  NodeId node;
  std::vector<std::int64_t> shape;
  /// A statistic rather than something that is learned (PyTorch's buffers).
  bool buffer = false;
  /// Its name within the node, without tensor_prefix: "weight".
  std::string key = {};

  std::int64_t count() const;
};

/// Nodes in topological order; the last is the output.
class Graph {
 public:
  /// Adds a node after its inputs. REQUIRES: `name` is new, the inputs exist and are as many as the operation takes.
  NodeId add(std::string name, Op op, std::vector<NodeId> inputs);
  void set_tensor_prefix(NodeId id, std::string prefix) { nodes_[id].tensor_prefix = std::move(prefix); }

  /// States that the library registers the module or tensor `name` after those declared before, and before all others.
  /// Needed if it registers modules in another order than it runs them. The name need not be a node's.
  void declare(const std::string& name) { declared_.push_back(name); }

  const std::vector<Node>& nodes() const { return nodes_; }
  const Node& node(NodeId id) const { return nodes_[id]; }
  NodeId output() const { return nodes_.size() - 1; }
  std::optional<NodeId> find(std::string_view name) const;

  /// Replaces the operation of a node by one of the same kind (a classifier with another number of classes).
  void replace(NodeId id, Op op);

  /// The tensors of one node, in PyTorch's order.
  std::vector<Parameter> parameters(NodeId id) const;
  /// The tensors of all nodes, in the order of the library's state dict: a module's own tensors before those of the
  /// modules inside it, modules in the order of declare(), then of the nodes.
  std::vector<Parameter> parameters() const;

 private:
  std::vector<Node> nodes_;
  std::unordered_map<std::string, NodeId> by_name_;
  std::vector<std::string> declared_;
};

/// Number of features that leave the last Linear node. REQUIRES: the output is a Linear node.
std::int64_t output_features(const Graph& graph);

}  // namespace lorikeet
