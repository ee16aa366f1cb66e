// Small graphs, and weights for them.
#pragma once

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Functions.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "graph/graph.h"
#include "io/named_tensors.h"

namespace lorikeet {

inline at::Generator seeded(std::uint64_t seed) { return at::detail::createCPUGenerator(seed); }

/// ‖a − b‖ / ‖b‖; infinity where the shapes differ.
inline double relative(const at::Tensor& a, const at::Tensor& b) {
  if (a.sizes() != b.sizes()) return std::numeric_limits<double>::infinity();
  return at::sub(a, b).norm().item<double>() / b.norm().item<double>();
}

/// A ResNet in miniature under torchvision's names: a stem, layer1.0 … layer1.2 of three convolutions each, fc.
inline Graph small_resnet() {
  Graph graph;
  const auto conv_norm = [&](const std::string& in, const std::string& number, const Conv2d& conv, NodeId x) {
    x = graph.add(in + "conv" + number, conv, {x});
    return graph.add(in + "bn" + number, BatchNorm2d{conv.out}, {x});
  };
  NodeId x = graph.add("input", Input{3}, {});
  x = conv_norm("", "1", {.in = 3, .out = 8, .kernel = {3, 3}, .stride = {2, 2}, .padding = {1, 1}}, x);
  x = graph.add("relu", Relu{}, {x});
  for (const std::string block : {"layer1.0.", "layer1.1.", "layer1.2."}) {
    const NodeId shortcut = x;
    x = conv_norm(block, "1", {.in = 8, .out = 4}, x);
    x = graph.add(block + "relu", Relu{}, {x});
    x = conv_norm(block, "2", {.in = 4, .out = 4, .kernel = {3, 3}, .padding = {1, 1}}, x);
    x = graph.add(block + "relu_1", Relu{}, {x});
    x = conv_norm(block, "3", {.in = 4, .out = 8}, x);
    x = graph.add(block + "add", Add{}, {x, shortcut});
    x = graph.add(block + "relu_2", Relu{}, {x});
  }
  x = graph.add("avgpool", GlobalAvgPool{}, {x});
  graph.add("fc", Linear{8, 5}, {x});
  return graph;
}

/// 1×1 convolutions of these names one after the other, then the Linear `fc`.
inline Graph conv_chain(const std::vector<std::string>& names) {
  Graph graph;
  NodeId x = graph.add("input", Input{2}, {});
  for (const auto& name : names) x = graph.add(name, Conv2d{.in = 2, .out = 2}, {x});
  x = graph.add("avgpool", GlobalAvgPool{}, {x});
  graph.add("fc", Linear{2, 3}, {x});
  return graph;
}

/// Any weights with which a signal neither dies nor explodes; variances positive.
inline NamedTensors random_weights(const Graph& graph, std::uint64_t seed) {
  at::Generator generator = seeded(seed);
  NamedTensors out;
  for (const auto& parameter : graph.parameters()) {
    const double fan_in = static_cast<double>(parameter.count()) / static_cast<double>(parameter.shape[0]);
    at::Tensor tensor = at::empty(parameter.shape).normal_(0, 1 / std::sqrt(fan_in), generator);
    const bool scales = parameter.shape.size() == 1 && parameter.name.ends_with("weight");
    if (scales || parameter.name.ends_with("running_var")) tensor.uniform_(0.5, 1.5, generator);
    out.add(parameter.name, tensor);
  }
  return out;
}

}  // namespace lorikeet
