// A network as data: operations with the dotted names of torchvision or timm, in the order in which those libraries
// register their modules. It holds no tensors and knows no adapter; everything else is a pass over it.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <variant>
#include <vector>

namespace lorikeet {

using NodeId = std::size_t;
using Pair = std::array<std::int64_t, 2>;  // (height, width)

// The operations. Their fields are those of the PyTorch modules of the same names.

/// Images (N, channels, H, W).
struct Input {
  std::int64_t channels = 3;
};

/// weight (out, in / groups, kh, kw), bias (out,).
struct Conv2d {
  std::int64_t in = 0;
  std::int64_t out = 0;
  Pair kernel{1, 1};
  Pair stride{1, 1};
  Pair padding{0, 0};
  Pair dilation{1, 1};
  std::int64_t groups = 1;
  bool bias = false;
  /// TensorFlow's "SAME": the padding follows from the input's size and may be larger below and to the right.
  bool same_padding = false;
};

/// weight, bias, running_mean, running_var: (features,); always in evaluation mode.
struct BatchNorm2d {
  std::int64_t features = 0;
  double eps = 1e-5;
};

struct Relu {};
struct Relu6 {};
/// The sum of two inputs of one shape.
struct Add {};

struct MaxPool2d {
  Pair kernel{3, 3};
  Pair stride{2, 2};
  Pair padding{1, 1};
};

/// (N, C, H, W) → (N, C).
struct GlobalAvgPool {};

/// weight (out, in), bias (out,).
struct Linear {
  std::int64_t in = 0;
  std::int64_t out = 0;
  bool bias = true;
};

using Op = std::variant<Input, Conv2d, BatchNorm2d, Relu, Relu6, Add, MaxPool2d, GlobalAvgPool, Linear>;

struct Node {
  std::string name;
  Op op;
  std::vector<NodeId> inputs;
};

/// A tensor that a node needs: `conv1.weight`, `bn1.running_mean` …
struct Parameter {
  std::string name;
  NodeId node;
  std::vector<std::int64_t> shape;
  /// A statistic rather than something that is learned (PyTorch's buffers).
  bool buffer = false;

  std::int64_t count() const;
};

/// Nodes in topological order; the last is the output.
class Graph {
 public:
  /// Adds a node after its inputs. REQUIRES: `name` is new, inputs exist.
  NodeId add(std::string name, Op op, std::vector<NodeId> inputs);

  const std::vector<Node>& nodes() const { return nodes_; }
  const Node& node(NodeId id) const { return nodes_[id]; }
  NodeId output() const { return nodes_.size() - 1; }
  std::optional<NodeId> find(std::string_view name) const;

  /// Replaces the operation of a node by one of the same kind (a classifier with another number of classes).
  void replace(NodeId id, Op op);

  /// The tensors of one node, in PyTorch's order.
  std::vector<Parameter> parameters(NodeId id) const;
  /// The tensors of all nodes, in the order of torchvision's or timm's state dict.
  std::vector<Parameter> parameters() const;

 private:
  std::vector<Node> nodes_;
  std::unordered_map<std::string, NodeId> by_name_;
};

/// Whether a node has something to learn.
bool has_parameters(const Op& op);

/// PyTorch's class name: "Conv2d".
std::string op_name(const Op& op);

/// As PyTorch prints it: "Conv2d(64, 128, kernel_size=(3, 3), stride=(2, 2), padding=(1, 1))".
std::string describe(const Op& op);

/// Number of features that leave the last Linear node. REQUIRES: the output is a Linear node.
std::int64_t output_features(const Graph& graph);

/// Lets a visitor be written as a list of lambdas, one for each operation.
template <typename... Cases>
struct Overload : Cases... {
  using Cases::operator()...;
};

}  // namespace lorikeet
