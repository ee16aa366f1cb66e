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

}  // namespace lorikeet
