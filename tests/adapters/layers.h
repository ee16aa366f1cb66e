// Every type of layer that adapters support, with weights and inputs in float64, so that differences are errors rather
// than rounding.
#pragma once

#include <ATen/Functions.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "adapters/methods.h"
#include "graph/small_graphs.h"

namespace lorikeet {

struct Layer {
  std::string kind;
  Op op;
  /// Of a Linear: those of its input between the first and the last, (N, …, features).
  std::vector<std::int64_t> positions = {};
};

inline std::vector<Layer> weighted_layers() {
  return {
      {"Linear", Linear{6, 5}},
      {"Linear on tokens", Linear{6, 5}, {3}},
      {"Linear on (N, H, W, C)", Linear{6, 5}, {3, 2}},
      {"Conv2d 1×1", Conv2d{.in = 4, .out = 6}},
      {"Conv2d 3×3", Conv2d{.in = 4, .out = 6, .kernel = {3, 3}, .stride = {2, 2}, .padding = {1, 1}, .bias = true}},
      {"dilated", Conv2d{.in = 4, .out = 6, .kernel = {3, 3}, .padding = {2, 2}, .dilation = {2, 2}}},
      {"uneven padding", Conv2d{.in = 4, .out = 6, .kernel = {3, 5}, .stride = {2, 1}, .same_padding = true}},
      {"grouped 1×1", Conv2d{.in = 4, .out = 6, .groups = 2}},
      {"grouped",
       Conv2d{.in = 4, .out = 6, .kernel = {3, 3}, .stride = {2, 2}, .padding = {1, 1}, .groups = 2, .bias = true}},
      {"depthwise", Conv2d{.in = 4, .out = 4, .kernel = {3, 3}, .padding = {1, 1}, .groups = 4}}};
}

inline std::int64_t groups_of(const Op& op) {
  return std::holds_alternative<Conv2d>(op) ? std::get<Conv2d>(op).groups : 1;
}

/// A network of this layer alone, which is node 1.
inline Graph graph_of(const Node& node) {
  Graph graph;
  graph.add("input", Input{4}, {});
  graph.add(node.name, node.op, {0});
  return graph;
}

/// Its adapter at the start.
inline std::unique_ptr<LayerAdapter> started(const Node& node, const NodeTensors& base, const AdapterTarget& target,
                                             const AdapterConfig& config, at::Generator& generator) {
  return std::move(method_of(config).start({graph_of(node), {target}}, {{}, base}, config, generator).front());
}

inline at::Tensor noise(at::IntArrayRef shape, std::uint64_t seed) {
  at::Generator generator = seeded(seed);
  return at::empty(shape, at::kDouble).normal_(0, 1, generator);
}

inline at::Tensor input_for(const Op& op) {
  if (const auto* norm = std::get_if<LayerNorm>(&op)) return noise({2, 3, norm->features}, 9);
  return std::holds_alternative<Linear>(op) ? noise({3, 6}, 9) : noise({2, 4, 7, 8}, 9);
}

inline at::Tensor input_for(const Layer& layer) {
  if (layer.positions.empty()) return input_for(layer.op);
  std::vector<std::int64_t> shape{2, 6};
  shape.insert(shape.begin() + 1, layer.positions.begin(), layer.positions.end());
  return noise(shape, 9);
}

inline std::vector<Layer> normalising_layers() {
  return {{"BatchNorm2d", BatchNorm2d{4}}, {"LayerNorm", LayerNorm{6}}};
}

inline NodeTensors tensors_for(const Op& op) {
  if (const auto* norm = std::get_if<LayerNorm>(&op))
    return {{"weight", noise({norm->features}, 8)}, {"bias", noise({norm->features}, 7)}};
  if (const auto* norm = std::get_if<BatchNorm2d>(&op)) {
    const auto positive = [&](std::uint64_t seed) { return at::abs(noise({norm->features}, seed)) + 0.5; };
    return {{"weight", positive(8)},
            {"bias", noise({norm->features}, 7)},
            {"running_mean", noise({norm->features}, 6)},
            {"running_var", positive(5)}};
  }
  if (const auto* linear = std::get_if<Linear>(&op))
    return {{"weight", noise({linear->out, linear->in}, 8)}, {"bias", noise({linear->out}, 7)}};
  const auto& conv = std::get<Conv2d>(op);
  NodeTensors out{{"weight", noise({conv.out, conv.in / conv.groups, conv.kernel[0], conv.kernel[1]}, 8)}};
  if (conv.bias) out.set("bias", noise({conv.out}, 7));
  return out;
}

inline bool close(const at::Tensor& a, const at::Tensor& b) {
  return a.sizes() == b.sizes() && at::allclose(a, b, 1e-10, 1e-10);
}

/// A gradient against (loss(v + h) − loss(v − h)) / 2h, for some elements of `tensor`, whose values it changes and puts
/// back.
template <typename Loss>
bool has_right_gradient(at::Tensor& tensor, const at::Tensor& gradient, const Loss& loss) {
  constexpr double kStep = 1e-4;
  at::Tensor flat = tensor.detach().view(-1);  // shares memory
  for (std::int64_t i = 0; i < flat.numel(); i += std::max<std::int64_t>(1, flat.numel() / 7)) {
    const double before = flat[i].item<double>();
    flat[i].fill_(before + kStep);
    const double above = loss().template item<double>();
    flat[i].fill_(before - kStep);
    const double below = loss().template item<double>();
    flat[i].fill_(before);
    const double expected = (above - below) / (2 * kStep);
    if (std::abs(gradient.reshape(-1)[i].item<double>() - expected) > 1e-4 * (1 + std::abs(expected))) return false;
  }
  return true;
}

}  // namespace lorikeet
