// Small graphs and their weights.
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

struct SmallVit {
  std::int64_t features = 12;
  std::int64_t heads = 3;
  std::int64_t depth = 2;
  std::int64_t image = 8;
  std::int64_t patch = 4;
};

/// timm's VisionTransformer in miniature: patch_embed, cls_token, pos_embed, blocks.0 …, norm, head.
inline Graph small_vit(const SmallVit& vit = {}) {
  Graph graph;
  const std::int64_t features = vit.features, side = vit.image / vit.patch;
  const Pair patch{vit.patch, vit.patch};
  NodeId x = graph.add("input", Input{3}, {});
  x = graph.add("patch_embed.proj", Conv2d{.in = 3, .out = features, .kernel = patch, .stride = patch, .bias = true},
                {x});
  x = graph.add("patch_embed.tokens", PixelsToTokens{}, {x});
  x = graph.add("cls_token", PrependTokens{1, features}, {x});
  x = graph.add("pos_embed", PositionEmbedding{side * side + 1, features, 1}, {x});
  for (std::int64_t i = 0; i < vit.depth; ++i) {
    const std::string block = "blocks." + std::to_string(i) + ".";
    NodeId y = graph.add(block + "norm1", LayerNorm{features, 1e-6}, {x});
    y = graph.add(block + "attn.qkv", Linear{features, 3 * features}, {y});
    y = graph.add(block + "attn", Attention{features, vit.heads}, {y});
    y = graph.add(block + "attn.proj", Linear{features, features}, {y});
    x = graph.add(block + "add1", Add{}, {x, y});
    y = graph.add(block + "norm2", LayerNorm{features, 1e-6}, {x});
    y = graph.add(block + "mlp.fc1", Linear{features, 4 * features}, {y});
    y = graph.add(block + "mlp.act", Gelu{}, {y});
    y = graph.add(block + "mlp.fc2", Linear{4 * features, features}, {y});
    x = graph.add(block + "add2", Add{}, {x, y});
  }
  x = graph.add("norm", LayerNorm{features, 1e-6}, {x});
  x = graph.add("class", TakeToken{}, {x});
  graph.add("head", Linear{features, 5}, {x});
  return graph;
}

/// torchvision's VisionTransformer in small, with its names: (3, 8, 8) → (5,). Its attention is a
/// torch.nn.MultiheadAttention, whose packed projection is the node `self_attention`.
inline Graph small_torchvision_vit() {
  constexpr std::int64_t kFeatures = 12, kTokens = 4;
  Graph graph;
  NodeId x = graph.add("input", Input{3}, {});
  x = graph.add("conv_proj", Conv2d{.in = 3, .out = kFeatures, .kernel = {4, 4}, .stride = {4, 4}, .bias = true}, {x});
  x = graph.add("tokens", PixelsToTokens{}, {x});
  x = graph.add("class_token", PrependTokens{1, kFeatures}, {x});
  x = graph.add("encoder.pos_embedding", PositionEmbedding{kTokens + 1, kFeatures, 1}, {x});
  for (const std::string number : {"0", "1"}) {
    const std::string layer = "encoder.layers.encoder_layer_" + number + ".", attention = layer + "self_attention";
    NodeId y = graph.add(layer + "ln_1", LayerNorm{kFeatures, 1e-6}, {x});
    y = graph.add(attention, Linear{kFeatures, 3 * kFeatures}, {y});
    graph.set_tensor_prefix(y, "in_proj_");
    y = graph.add(attention + ".attention", Attention{kFeatures, 3}, {y});
    y = graph.add(attention + ".out_proj", Linear{kFeatures, kFeatures}, {y});
    x = graph.add(layer + "add1", Add{}, {x, y});
    y = graph.add(layer + "ln_2", LayerNorm{kFeatures, 1e-6}, {x});
    y = graph.add(layer + "mlp.0", Linear{kFeatures, 2 * kFeatures}, {y});
    y = graph.add(layer + "mlp.1", Gelu{}, {y});
    y = graph.add(layer + "mlp.3", Linear{2 * kFeatures, kFeatures}, {y});
    x = graph.add(layer + "add2", Add{}, {x, y});
  }
  x = graph.add("encoder.ln", LayerNorm{kFeatures, 1e-6}, {x});
  graph.add("heads.head", Linear{kFeatures, 5}, {graph.add("class", TakeToken{}, {x})});
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
