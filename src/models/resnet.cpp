#include "models/resnet.h"

#include <algorithm>
#include <string>

#include "base/error.h"
#include "models/transformers_config.h"

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

// A residual block: the sum of the convolutions' output and the input, projected if the shape changes.
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

// Of transformers. Its stages count from 0.
NameTable resnet_transformers_names(bool bottleneck) {
  NameTable out{{"conv1", "resnet.embedder.embedder.convolution"}, {"bn1", "resnet.embedder.embedder.normalization"}};
  for (int stage = 0; stage < 4; ++stage) {
    const std::string from = "layer" + std::to_string(stage + 1) + ".#.";
    const std::string to = "resnet.encoder.stages." + std::to_string(stage) + ".layers.#.";
    out.push_back({from + "downsample.0", to + "shortcut.convolution"});
    out.push_back({from + "downsample.1", to + "shortcut.normalization"});
    for (int part = 0; part < (bottleneck ? 3 : 2); ++part) {
      const std::string own = std::to_string(part + 1), theirs = to + "layer." + std::to_string(part);
      out.push_back({cat(from, "conv", own), theirs + ".convolution"});
      out.push_back({cat(from, "bn", own), theirs + ".normalization"});
    }
  }
  out.push_back({"fc", "classifier.1"});
  return out;
}

LibraryNames resnet_library_names(bool bottleneck) {
  return {{{Library::kTorchvision, {}},
           {Library::kTimm, {}},
           {Library::kTransformers, resnet_transformers_names(bottleneck)}}};
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
                      .names = resnet_library_names(options.bottleneck),
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

ModelEntry resnet_from_config(const Json& json) {
  const TransformersConfig config(json);
  ResNetOptions options{.bottleneck = config.text("layer_type", "bottleneck") == "bottleneck",
                        .classes = config.classes()};
  if (!options.bottleneck) config.expect_text("layer_type", "basic");
  config.expect_integer("num_channels", 3);
  config.expect_integer("embedding_size", 64);
  config.expect_text("hidden_act", "relu");
  config.expect_flag("downsample_in_first_stage", false);
  config.expect_flag("downsample_in_bottleneck", false);
  const std::int64_t narrowest = options.bottleneck ? 256 : 64;
  const std::vector<std::int64_t> widths{narrowest, 2 * narrowest, 4 * narrowest, 8 * narrowest};
  // The default is that of bottlenecks, whatever the kind of layer.
  if (config.list("hidden_sizes", {256, 512, 1024, 2048}) != widths)
    fail("hidden_sizes: got other widths, expected ", narrowest, " and each twice the one before.");
  const auto depths = config.list("depths", {3, 4, 6, 3});
  constexpr std::int64_t kDeepest = 100;
  if (depths.size() != options.blocks.size() || *std::max_element(depths.begin(), depths.end()) > kDeepest)
    fail("depths: got ", depths.size(), " numbers, expected 4 of at most ", kDeepest, ".");
  std::copy(depths.begin(), depths.end(), options.blocks.begin());
  return config.entry(
      "ResNet", [options] { return build_resnet(options); }, resnet_library_names(options.bottleneck));
}

}  // namespace lorikeet
