#include "models/densenet.h"

#include <array>
#include <string>

namespace lorikeet {
namespace {

constexpr std::array<int, 4> kDenseNet121{6, 12, 24, 16};
constexpr std::int64_t kGrowth = 32;
constexpr std::int64_t kNarrow = 4 * kGrowth;  // channels between a layer's two convolutions

// BatchNorm, ReLU, convolution: `norm`, `relu` and `conv` are the ends of their names.
NodeId norm_conv(Graph& graph, const std::string& norm, const std::string& conv, const Conv2d& layer, NodeId x) {
  x = graph.add(norm, BatchNorm2d{layer.in}, {x});
  x = graph.add(norm + ".relu", Relu{}, {x});
  return graph.add(conv, layer, {x});
}

NodeId dense_layer(Graph& graph, const std::string& name, std::int64_t in, NodeId input) {
  const Conv2d second{.in = kNarrow, .out = kGrowth, .kernel = {3, 3}, .padding = {1, 1}};
  NodeId x = norm_conv(graph, name + ".norm1", name + ".conv1", {.in = in, .out = kNarrow}, input);
  x = norm_conv(graph, name + ".norm2", name + ".conv2", second, x);
  return graph.add(name + ".cat", Concat{1}, {input, x});
}

Graph build_densenet(const std::array<int, 4>& layers) {
  Graph graph;
  std::int64_t width = 64;
  const Conv2d stem{.in = 3, .out = width, .kernel = {7, 7}, .stride = {2, 2}, .padding = {3, 3}};
  NodeId x = graph.add("input", Input{3}, {});
  x = graph.add("features.conv0", stem, {x});
  x = graph.add("features.norm0", BatchNorm2d{width}, {x});
  x = graph.add("features.relu0", Relu{}, {x});
  x = graph.add("features.pool0", MaxPool2d{}, {x});
  for (std::size_t block = 0; block < layers.size(); ++block) {
    const std::string number = std::to_string(block + 1);
    for (int i = 0; i < layers[block]; ++i) {
      x = dense_layer(graph, "features.denseblock" + number + ".denselayer" + std::to_string(i + 1), width, x);
      width += kGrowth;
    }
    if (block + 1 == layers.size()) break;
    const std::string transition = "features.transition" + number;
    x = norm_conv(graph, transition + ".norm", transition + ".conv", {.in = width, .out = width / 2}, x);
    x = graph.add(transition + ".pool", AvgPool2d{}, {x});
    width /= 2;
  }
  x = graph.add("features.norm5", BatchNorm2d{width}, {x});
  x = graph.add("relu", Relu{}, {x});
  x = graph.add("avgpool", GlobalAvgPool{}, {x});
  graph.add("classifier", Linear{width, 1000}, {x});
  return graph;
}

}  // namespace

std::vector<ModelEntry> densenet_models() {
  const Preprocessing preprocessing{.resize = 256, .crop = 224};
  return {{.name = "densenet121",
           .family = "DenseNet",
           .library = Library::kTorchvision,
           .network = [] { return build_densenet(kDenseNet121); },
           .names = {{{Library::kTorchvision, {}}, {Library::kTimm, {}}}},
           .python = "torchvision.models.densenet121()",
           .preprocessing = preprocessing,
           .weights = {torchvision_weights("densenet121", 1, "a639ec97", true, preprocessing)}}};
}

}  // namespace lorikeet
