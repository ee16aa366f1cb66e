#include "models/resnet.h"

#include <algorithm>
#include <string>

#include "base/error.h"
#include "base/text.h"
#include "models/transformers_config.h"

namespace lorikeet {
namespace {

// Conv2d without bias, then BatchNorm.
NodeId conv_norm(Graph& graph, const std::string& conv_name, const std::string& norm_name, const Conv2d& conv,
                 NodeId input) {
  const NodeId out = graph.add(conv_name, conv, {input});
  return graph.add(norm_name, BatchNorm2d{conv.out}, {out});
}

std::vector<std::int64_t> resnet_widths(const ResNetOptions& options) {
  if (!options.widths.empty()) return options.widths;
  std::vector<std::int64_t> out;
  for (std::size_t layer = 0; layer < options.blocks.size(); ++layer)
    out.push_back(std::int64_t{options.bottleneck ? 256 : 64} << layer);
  return out;
}

class ResNetBuilder {
 public:
  explicit ResNetBuilder(const ResNetOptions& options) : options_(options) {}

  Graph build() {
    NodeId x = stem();
    std::int64_t in = options_.stem;
    const auto widths = resnet_widths(options_);
    for (std::size_t layer = 0; layer < widths.size(); ++layer) {
      const bool strides = layer > 0 || options_.first_layer_strides;
      for (std::int64_t index = 0; index < options_.blocks[layer]; ++index) {
        const std::string name = cat("layer", layer + 1, ".", index);
        x = block(name, x, {in, widths[layer], strides && index == 0 ? 2 : 1});
        in = widths[layer];
      }
    }
    x = graph_.add("avgpool", GlobalAvgPool{}, {x});
    graph_.add("fc", Linear{in, options_.classes}, {x});
    return std::move(graph_);
  }

 private:
  struct Block {
    std::int64_t in, out, stride;
  };

  NodeId stem() {
    const std::int64_t width = options_.stem, half = width / 2;
    NodeId x = graph_.add("input", Input{3}, {});
    if (options_.is_d) {
      x = conv_norm(graph_, "conv1.0", "conv1.1", square_conv(3, half, 3, 2), x);
      x = graph_.add("conv1.2", Relu{}, {x});
      x = conv_norm(graph_, "conv1.3", "conv1.4", square_conv(half, half, 3, 1), x);
      x = graph_.add("conv1.5", Relu{}, {x});
      x = conv_norm(graph_, "conv1.6", "bn1", square_conv(half, width, 3, 1), x);
    } else {
      x = conv_norm(graph_, "conv1", "bn1", square_conv(3, width, 7, 2), x);
    }
    x = graph_.add("relu", options_.activation, {x});
    return graph_.add("maxpool", MaxPool2d{}, {x});
  }

  // The sum of the convolutions' output and the input, projected if the shape changes.
  NodeId block(const std::string& name, NodeId input, const Block& shape) {
    const auto [in, out, stride] = shape;
    NodeId x = input;
    if (options_.bottleneck) {
      const std::int64_t width = out / 4 * options_.width_per_group / 64 * options_.groups;
      const bool first = options_.first_conv_strides;
      Conv2d middle = square_conv(width, width, 3, first ? 1 : stride);
      middle.groups = options_.groups;
      x = conv_norm(graph_, name + ".conv1", name + ".bn1", square_conv(in, width, 1, first ? stride : 1), x);
      x = graph_.add(name + ".relu", Relu{}, {x});
      x = conv_norm(graph_, name + ".conv2", name + ".bn2", middle, x);
      x = graph_.add(name + ".relu_1", Relu{}, {x});
      x = conv_norm(graph_, name + ".conv3", name + ".bn3", square_conv(width, out, 1, 1), x);
    } else {
      x = conv_norm(graph_, name + ".conv1", name + ".bn1", square_conv(in, out, 3, stride), x);
      x = graph_.add(name + ".relu", Relu{}, {x});
      x = conv_norm(graph_, name + ".conv2", name + ".bn2", square_conv(out, out, 3, 1), x);
    }
    x = graph_.add(name + ".add", Add{}, {x, shortcut(name + ".downsample", input, shape)});
    return graph_.add(name + (options_.bottleneck ? ".relu_2" : ".relu_1"), options_.activation, {x});
  }

  NodeId shortcut(const std::string& name, NodeId x, const Block& shape) {
    const auto [in, out, stride] = shape;
    if (stride == 1 && in == out) return x;
    if (!options_.is_d) return conv_norm(graph_, name + ".0", name + ".1", square_conv(in, out, 1, stride), x);
    if (stride > 1) x = graph_.add(name + ".0", AvgPool2d{.ceil_mode = true}, {x});
    return conv_norm(graph_, name + ".1", name + ".2", square_conv(in, out, 1, 1), x);
  }

  const ResNetOptions& options_;
  Graph graph_;
};

// Of transformers. Its stages count from 0.
NameTable resnet_transformers_names(const ResNetOptions& options) {
  NameTable out{{"conv1", "resnet.embedder.embedder.convolution"}, {"bn1", "resnet.embedder.embedder.normalization"}};
  for (std::size_t stage = 0; stage < options.blocks.size(); ++stage) {
    const std::string from = cat("layer", stage + 1, ".#."), to = cat("resnet.encoder.stages.", stage, ".layers.#.");
    out.push_back({from + "downsample.0", to + "shortcut.convolution"});
    out.push_back({from + "downsample.1", to + "shortcut.normalization"});
    for (int part = 0; part < (options.bottleneck ? 3 : 2); ++part) {
      const std::string theirs = cat(to, "layer.", part);
      out.push_back({cat(from, "conv", part + 1), theirs + ".convolution"});
      out.push_back({cat(from, "bn", part + 1), theirs + ".normalization"});
    }
  }
  out.push_back({"fc", "classifier.1"});
  return out;
}

// Whether torchvision and timm have the network. transformers' configuration can describe others.
bool is_common(const ResNetOptions& options) {
  const std::int64_t first = options.bottleneck ? 256 : 64;
  const bool has_their_widths =
      options.widths.empty() || options.widths == std::vector<std::int64_t>{first, 2 * first, 4 * first, 8 * first};
  return has_their_widths && options.blocks.size() == 4 && options.stem == 64 && !options.first_layer_strides &&
         !options.first_conv_strides && std::holds_alternative<Relu>(options.activation);
}

LibraryNames resnet_library_names(const ResNetOptions& options) {
  if (!is_common(options)) return {{{Library::kTransformers, resnet_transformers_names(options)}}};
  LibraryNames out{{{Library::kTimm, {}}}};
  if (options.is_d) return out;
  out.tables[Library::kTorchvision] = {};
  if (options.groups == 1 && options.width_per_group == 64)
    out.tables[Library::kTransformers] = resnet_transformers_names(options);
  return out;
}

// The hashes of torchvision's files; no second version: "".
ModelEntry resnet_entry(const std::string& name, const ResNetOptions& options, const std::string& first,
                        const std::string& second) {
  // Both recipes crop 224 pixels.
  const Preprocessing v1{.resize = 256, .crop = 224}, v2{.resize = 232, .crop = 224};
  const bool has_second = !second.empty();
  ModelEntry out{.name = name,
                 .family = "ResNet",
                 .network = [options] { return build_resnet(options); },
                 .names = resnet_library_names(options),
                 .python = "torchvision.models." + name + "()",
                 .preprocessing = has_second ? v2 : v1};
  if (has_second) out.weights.push_back(torchvision_weights(name, 2, second, true, v2));
  out.weights.push_back(torchvision_weights(name, 1, first, !has_second, v1));
  return out;
}

}  // namespace

Graph build_resnet(const ResNetOptions& options) { return ResNetBuilder(options).build(); }

std::vector<ModelEntry> resnet_models() {
  const std::vector<std::int64_t> fifty{3, 4, 6, 3}, hundred{3, 4, 23, 3};
  const auto bottlenecks = [](const std::vector<std::int64_t>& blocks, std::int64_t groups = 1,
                              std::int64_t width_per_group = 64) {
    return ResNetOptions{.blocks = blocks, .bottleneck = true, .groups = groups, .width_per_group = width_per_group};
  };
  std::vector<ModelEntry> out{resnet_entry("resnet18", {}, "f37072fd", ""),
                              resnet_entry("resnet34", {.blocks = fifty}, "b627a593", ""),
                              resnet_entry("resnet50", bottlenecks(fifty), "0676ba61", "11ad3fa6"),
                              resnet_entry("resnet101", bottlenecks(hundred), "63fe2227", "cd907fc2"),
                              resnet_entry("resnet152", bottlenecks({3, 8, 36, 3}), "394f9c45", "f82ba261"),
                              resnet_entry("resnext50_32x4d", bottlenecks(fifty, 32, 4), "7cdf4587", "1a0047aa"),
                              resnet_entry("resnext101_32x8d", bottlenecks(hundred, 32, 8), "8ba56ff5", "110c445d"),
                              resnet_entry("wide_resnet50_2", bottlenecks(fifty, 1, 128), "95faca4d", "9ba9bcbe"),
                              resnet_entry("wide_resnet101_2", bottlenecks(hundred, 1, 128), "32ee1156", "d733dc28")};
  ResNetOptions d = bottlenecks(fifty);
  d.is_d = true;
  out.push_back({.name = "resnet50d",
                 .family = "ResNet",
                 .library = Library::kTimm,
                 .network = [d] { return build_resnet(d); },
                 .names = resnet_library_names(d),
                 .python = timm_python("resnet50d"),
                 .preprocessing = timm_preprocessing(224, 0.875)});
  return out;
}

ModelEntry resnet_from_config(const Json& json) {
  const TransformersConfig config(json);
  ResNetOptions options{.blocks = config.list("depths", {3, 4, 6, 3}, TransformersConfig::kMostLayers),
                        .bottleneck = config.text("layer_type", "bottleneck") == "bottleneck",
                        // The default is that of bottlenecks, whatever the kind of layer.
                        .widths = config.list("hidden_sizes", {256, 512, 1024, 2048}),
                        .stem = config.integer("embedding_size", 64),
                        .first_layer_strides = config.flag("downsample_in_first_stage", false),
                        .first_conv_strides = config.flag("downsample_in_bottleneck", false),
                        .activation = config.activation("hidden_act", "relu"),
                        .classes = config.classes()};
  if (!options.bottleneck) config.expect_text("layer_type", "basic");
  config.expect_integer("num_channels", 3);
  if (options.widths.size() != options.blocks.size())
    fail("hidden_sizes: got ", counted(options.widths.size(), "value"), ", expected one for each of the ",
         options.blocks.size(), " in depths.");
  if (options.bottleneck && *std::min_element(options.widths.begin(), options.widths.end()) < 4)
    fail("hidden_sizes: got a value below 4, expected at least 4 channels for a bottleneck.");
  return config.entry(
      "ResNet", [options] { return build_resnet(options); }, resnet_library_names(options));
}

}  // namespace lorikeet
