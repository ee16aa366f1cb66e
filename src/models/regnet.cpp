#include "models/regnet.h"

#include <array>
#include <cmath>
#include <string>

#include "base/error.h"

namespace lorikeet {
namespace {

struct RegNetOptions {
  const char* name;
  std::array<int, 4> depths;
  std::array<std::int64_t, 4> widths;
  std::int64_t group_width;
  const char* first_hash;
  const char* second_hash;
};
constexpr std::array<RegNetOptions, 5> kRegNets{
    {{"regnet_y_400mf", {1, 3, 6, 6}, {48, 104, 208, 440}, 8, "c65dace8", "e6988f5f"},
     {"regnet_y_800mf", {1, 3, 8, 2}, {64, 144, 320, 784}, 16, "1b27b58c", "58fc7688"},
     {"regnet_y_1_6gf", {2, 6, 17, 2}, {48, 120, 336, 888}, 24, "b11a554e", "0d7bc02a"},
     {"regnet_y_3_2gf", {2, 5, 13, 1}, {72, 216, 576, 1512}, 24, "b5a9779c", "9180c971"},
     {"regnet_y_8gf", {2, 4, 10, 1}, {224, 448, 896, 2016}, 56, "d0d0e4a8", "dc2b1b54"}}};

NodeId regnet_conv(Graph& graph, const std::string& name, const Conv2d& layer, NodeId x) {
  return graph.add(name + ".1", BatchNorm2d{layer.out}, {graph.add(name + ".0", layer, {x})});
}

Conv2d grouped(std::int64_t width, std::int64_t stride, std::int64_t groups) {
  return {.in = width, .out = width, .kernel = {3, 3}, .stride = {stride, stride}, .padding = {1, 1}, .groups = groups};
}

NodeId regnet_block(Graph& graph, const std::string& name, const RegNetOptions& options, std::int64_t in,
                    std::int64_t out, std::int64_t stride, NodeId input) {
  NodeId shortcut = input;
  if (in != out || stride != 1)
    shortcut = regnet_conv(graph, name + ".proj", {.in = in, .out = out, .stride = {stride, stride}}, input);
  NodeId x = regnet_conv(graph, name + ".f.a", {.in = in, .out = out}, input);
  x = graph.add(name + ".f.a.2", Relu{}, {x});
  x = regnet_conv(graph, name + ".f.b", grouped(out, stride, out / options.group_width), x);
  const NodeId wide = graph.add(name + ".f.b.2", Relu{}, {x});
  const auto squeezed = static_cast<std::int64_t>(std::nearbyint(0.25 * static_cast<double>(in)));
  x = graph.add(name + ".f.se.avgpool", GlobalAvgPool{true}, {wide});
  x = graph.add(name + ".f.se.fc1", Conv2d{.in = out, .out = squeezed, .bias = true}, {x});
  x = graph.add(name + ".f.se.activation", Relu{}, {x});
  x = graph.add(name + ".f.se.fc2", Conv2d{.in = squeezed, .out = out, .bias = true}, {x});
  x = graph.add(name + ".f.se.scale_activation", Sigmoid{}, {x});
  x = graph.add(name + ".f.se", Multiply{}, {wide, x});
  x = regnet_conv(graph, name + ".f.c", {.in = out, .out = out}, x);
  x = graph.add(name + ".add", Add{}, {x, shortcut});
  return graph.add(name + ".activation", Relu{}, {x});
}

Graph build_regnet(const RegNetOptions& options) {
  Graph graph;
  std::int64_t in = 32;
  NodeId x = graph.add("input", Input{3}, {});
  x = regnet_conv(graph, "stem", {.in = 3, .out = in, .kernel = {3, 3}, .stride = {2, 2}, .padding = {1, 1}}, x);
  x = graph.add("stem.2", Relu{}, {x});
  for (std::size_t stage = 0; stage < 4; ++stage) {
    const std::string name = "block" + std::to_string(stage + 1);
    for (int i = 0; i < options.depths[stage]; ++i) {
      x = regnet_block(graph, cat("trunk_output.", name, ".", name, "-", i), options, in, options.widths[stage],
                       i == 0 ? 2 : 1, x);
      in = options.widths[stage];
    }
  }
  x = graph.add("avgpool", GlobalAvgPool{}, {x});
  graph.add("fc", Linear{in, 1000}, {x});
  return graph;
}

}  // namespace

std::vector<ModelEntry> regnet_models() {
  const Preprocessing v1{.resize = 256, .crop = 224}, v2{.resize = 232, .crop = 224};
  std::vector<ModelEntry> out;
  for (const RegNetOptions& options : kRegNets) {
    const std::string name = options.name;
    out.push_back({.name = name,
                   .family = "RegNet",
                   .library = Library::kTorchvision,
                   .network = [&options] { return build_regnet(options); },
                   .names = {{{Library::kTorchvision, {}}}},
                   .python = "torchvision.models." + name + "()",
                   .preprocessing = v2,
                   .weights = {torchvision_weights(name, 2, options.second_hash, true, v2),
                               torchvision_weights(name, 1, options.first_hash, false, v1)}});
  }
  return out;
}

}  // namespace lorikeet
