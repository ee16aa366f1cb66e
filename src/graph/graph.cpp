#include "graph/graph.h"

#include <cassert>
#include <functional>
#include <numeric>
#include <utility>

#include "base/error.h"

namespace lorikeet {
namespace {

std::string pair_text(const Pair& pair) { return cat("(", pair[0], ", ", pair[1], ")"); }

}  // namespace

std::int64_t Parameter::count() const {
  return std::accumulate(shape.begin(), shape.end(), std::int64_t{1}, std::multiplies<>());
}

NodeId Graph::add(std::string name, Op op, std::vector<NodeId> inputs) {
  for ([[maybe_unused]] const NodeId input : inputs) assert(input < nodes_.size());
  [[maybe_unused]] const bool is_new = by_name_.emplace(name, nodes_.size()).second;
  assert(is_new);
  nodes_.push_back({std::move(name), std::move(op), std::move(inputs)});
  return nodes_.size() - 1;
}

std::optional<NodeId> Graph::find(std::string_view name) const {
  const auto found = by_name_.find(std::string(name));
  if (found == by_name_.end()) return std::nullopt;
  return found->second;
}

void Graph::replace(NodeId id, Op op) {
  assert(op.index() == nodes_[id].op.index());
  nodes_[id].op = std::move(op);
}

std::vector<Parameter> Graph::parameters(NodeId id) const {
  const Node& node = nodes_[id];
  std::vector<Parameter> out;
  const auto tensor = [&](const char* suffix, std::vector<std::int64_t> shape, bool buffer = false) {
    out.push_back({node.name + "." + suffix, id, std::move(shape), buffer});
  };
  std::visit(Overload{[&](const Conv2d& conv) {
                        tensor("weight", {conv.out, conv.in / conv.groups, conv.kernel[0], conv.kernel[1]});
                        if (conv.bias) tensor("bias", {conv.out});
                      },
                      [&](const BatchNorm2d& norm) {
                        tensor("weight", {norm.features});
                        tensor("bias", {norm.features});
                        tensor("running_mean", {norm.features}, true);
                        tensor("running_var", {norm.features}, true);
                      },
                      [&](const Linear& linear) {
                        tensor("weight", {linear.out, linear.in});
                        if (linear.bias) tensor("bias", {linear.out});
                      },
                      [](const auto&) {}},
             node.op);
  return out;
}

std::vector<Parameter> Graph::parameters() const {
  std::vector<Parameter> out;
  for (NodeId id = 0; id < nodes_.size(); ++id) {
    for (auto& parameter : parameters(id)) out.push_back(std::move(parameter));
  }
  return out;
}

bool has_parameters(const Op& op) {
  return std::holds_alternative<Conv2d>(op) || std::holds_alternative<BatchNorm2d>(op) ||
         std::holds_alternative<Linear>(op);
}

std::string op_name(const Op& op) {
  return std::visit(
      Overload{[](const Input&) { return "Input"; }, [](const Conv2d&) { return "Conv2d"; },
               [](const BatchNorm2d&) { return "BatchNorm2d"; }, [](const Relu&) { return "ReLU"; },
               [](const Relu6&) { return "ReLU6"; }, [](const Add&) { return "Add"; },
               [](const MaxPool2d&) { return "MaxPool2d"; }, [](const GlobalAvgPool&) { return "GlobalAvgPool"; },
               [](const Linear&) { return "Linear"; }},
      op);
}

std::string describe(const Op& op) {
  return op_name(op) +
         std::visit(Overload{[](const Conv2d& conv) {
                               std::string text =
                                   cat("(", conv.in, ", ", conv.out, ", kernel_size=", pair_text(conv.kernel),
                                       ", stride=", pair_text(conv.stride));
                               if (conv.same_padding) text += ", padding=same";
                               if (conv.padding != Pair{0, 0}) text += ", padding=" + pair_text(conv.padding);
                               if (conv.dilation != Pair{1, 1}) text += ", dilation=" + pair_text(conv.dilation);
                               if (conv.groups != 1) text += cat(", groups=", conv.groups);
                               if (!conv.bias) text += ", bias=False";
                               return text + ")";
                             },
                             [](const BatchNorm2d& norm) { return cat("(", norm.features, ", eps=", norm.eps, ")"); },
                             [](const Linear& linear) {
                               return cat("(in_features=", linear.in, ", out_features=", linear.out,
                                          linear.bias ? ")" : ", bias=False)");
                             },
                             [](const auto&) { return std::string(); }},
                    op);
}

std::int64_t output_features(const Graph& graph) { return std::get<Linear>(graph.node(graph.output()).op).out; }

}  // namespace lorikeet
