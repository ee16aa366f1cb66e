#include "models/resnet.h"

#include <string>

namespace lorikeet {
namespace {

// Conv2d without bias, then BatchNorm.
NodeId conv_norm(Graph& graph, const std::string& conv_name, const std::string& norm_name, const Conv2d& conv,
                 NodeId input) {
  const NodeId out = graph.add(conv_name, conv, {input});
  return graph.add(norm_name, BatchNorm2d{conv.out}, {out});
}

Conv2d conv(std::int64_t in, std::int64_t out, std::int64_t kernel, std::int64_t stride) {
  return {.in = in,
          .out = out,
          .kernel = {kernel, kernel},
          .stride = {stride, stride},
          .padding = {kernel / 2, kernel / 2}};
}

// One residual block: the sum of its input (projected where the shape changes) and its convolutions.
NodeId block(Graph& graph, const std::string& name, NodeId input, std::int64_t in, std::int64_t width,
             std::int64_t stride, bool bottleneck) {
  const std::int64_t out = bottleneck ? 4 * width : width;
  NodeId x = input;
  if (bottleneck) {
    x = conv_norm(graph, name + ".conv1", name + ".bn1", conv(in, width, 1, 1), x);
    x = graph.add(name + ".relu", Relu{}, {x});
    x = conv_norm(graph, name + ".conv2", name + ".bn2", conv(width, width, 3, stride), x);
    x = graph.add(name + ".relu_1", Relu{}, {x});
    x = conv_norm(graph, name + ".conv3", name + ".bn3", conv(width, out, 1, 1), x);
  } else {
    x = conv_norm(graph, name + ".conv1", name + ".bn1", conv(in, width, 3, stride), x);
    x = graph.add(name + ".relu", Relu{}, {x});
    x = conv_norm(graph, name + ".conv2", name + ".bn2", conv(width, width, 3, 1), x);
  }
  NodeId shortcut = input;
  if (stride != 1 || in != out) {
    shortcut = conv_norm(graph, name + ".downsample.0", name + ".downsample.1", conv(in, out, 1, stride), input);
  }
  x = graph.add(name + ".add", Add{}, {x, shortcut});
  return graph.add(name + (bottleneck ? ".relu_2" : ".relu_1"), Relu{}, {x});
}

}  // namespace

Graph build_resnet(const ResNetOptions& options) {
  Graph graph;
  NodeId x = graph.add("input", Input{3}, {});
  x = conv_norm(graph, "conv1", "bn1", conv(3, 64, 7, 2), x);
  x = graph.add("relu", Relu{}, {x});
  x = graph.add("maxpool", MaxPool2d{}, {x});
  std::int64_t in = 64;
  for (int layer = 0; layer < 4; ++layer) {
    const std::int64_t width = std::int64_t{64} << layer;
    for (int index = 0; index < options.blocks[static_cast<std::size_t>(layer)]; ++index) {
      const std::int64_t stride = layer > 0 && index == 0 ? 2 : 1;
      const std::string name = "layer" + std::to_string(layer + 1) + "." + std::to_string(index);
      x = block(graph, name, x, in, width, stride, options.bottleneck);
      in = options.bottleneck ? 4 * width : width;
    }
  }
  x = graph.add("avgpool", GlobalAvgPool{}, {x});
  graph.add("fc", Linear{in, options.classes}, {x});
  return graph;
}

std::vector<ModelEntry> resnet_models() {
  // torchvision's recipes: V1 resizes to 256, V2 to 232; both crop 224.
  const Preprocessing v1{.resize = 256, .crop = 224}, v2{.resize = 232, .crop = 224};
  const auto entry = [&](const std::string& name, const ResNetOptions& options, std::vector<WeightsEntry> weights) {
    const Preprocessing preprocessing = weights.front().preprocessing;
    return ModelEntry{.name = name,
                      .family = "ResNet",
                      .network = [options] { return build_resnet(options); },
                      .names = {{{Library::kTorchvision, {}}, {Library::kTimm, {}}}},
                      .python = "torchvision.models." + name + "()",
                      .preprocessing = preprocessing,
                      .weights = std::move(weights)};
  };
  return {entry("resnet18", {.blocks = {2, 2, 2, 2}}, {torchvision_weights("resnet18", 1, "f37072fd", true, v1)}),
          entry("resnet34", {.blocks = {3, 4, 6, 3}}, {torchvision_weights("resnet34", 1, "b627a593", true, v1)}),
          entry("resnet50", {.blocks = {3, 4, 6, 3}, .bottleneck = true},
                {torchvision_weights("resnet50", 2, "11ad3fa6", true, v2),
                 torchvision_weights("resnet50", 1, "0676ba61", false, v1)}),
          entry("resnet101", {.blocks = {3, 4, 23, 3}, .bottleneck = true},
                {torchvision_weights("resnet101", 2, "cd907fc2", true, v2),
                 torchvision_weights("resnet101", 1, "63fe2227", false, v1)}),
          entry("resnet152", {.blocks = {3, 8, 36, 3}, .bottleneck = true},
                {torchvision_weights("resnet152", 2, "f82ba261", true, v2),
                 torchvision_weights("resnet152", 1, "394f9c45", false, v1)})};
}

}  // namespace lorikeet
