#include "models/convnext.h"

#include <string>
#include <utility>

#include "base/error.h"
#include "base/text.h"
#include "models/transformers_config.h"

namespace lorikeet {
namespace {

constexpr double kPixelEps = 1e-6;

Conv2d pointwise(std::int64_t in, std::int64_t out) { return {.in = in, .out = out, .bias = true}; }

// Two pointwise layers on (N, H, W, C), or as convolutions on (N, C, H, W).
NodeId mlp(Graph& graph, const std::string& name, const ConvNextOptions& options, std::int64_t width, NodeId x) {
  const std::int64_t hidden = 4 * width;
  const auto layer = [&](const char* part, std::int64_t in, std::int64_t out) {
    x = options.conv_mlp ? graph.add(name + part, pointwise(in, out), {x})
                         : graph.add(name + part, Linear{in, out}, {x});
  };
  layer(".fc1", width, hidden);
  x = graph.add(name + ".act", Gelu(options.gelu), {x});
  if (options.global_response_norm) {
    if (options.conv_mlp) x = graph.add(name + ".grn.permute", channels_last_axes(), {x});
    x = graph.add(name + ".grn", GlobalResponseNorm{hidden, options.wide_response_norm}, {x});
    if (options.conv_mlp) x = graph.add(name + ".grn.permute_back", channels_first_axes(), {x});
  }
  layer(".fc2", hidden, width);
  return x;
}

NodeId block(Graph& graph, const std::string& name, const ConvNextOptions& options, std::int64_t width, NodeId input) {
  const Conv2d depthwise{.in = width, .out = width, .kernel = {7, 7}, .padding = {3, 3}, .groups = width, .bias = true};
  const bool scales_pixels = options.spatial_layer_scale || options.conv_mlp;
  NodeId x = graph.add(name + ".conv_dw", depthwise, {input});
  if (options.conv_mlp) {
    x = graph.add(name + ".norm", LayerNorm2d{width, kPixelEps}, {x});
  } else {
    x = graph.add(name + ".permute", channels_last_axes(), {x});
    x = graph.add(name + ".norm", LayerNorm{width, kPixelEps}, {x});
  }
  x = mlp(graph, name + ".mlp", options, width, x);
  const auto scale = [&](bool spatial) { x = graph.add(name + ".gamma", LayerScale{width, spatial}, {x}); };
  const auto permute = [&](const char* part, const Permute& op) { x = graph.add(name + part, op, {x}); };
  if (options.layer_scale && !scales_pixels) scale(false);
  if (options.layer_scale && options.conv_mlp) {
    // (C,) parameters scale the last axis.
    permute(".gamma.permute", channels_last_axes());
    scale(false);
    permute(".gamma.permute_back", channels_first_axes());
  }
  if (!options.conv_mlp) permute(".permute_back", channels_first_axes());
  if (options.layer_scale && options.spatial_layer_scale) scale(true);
  return graph.add(name + ".add", Add{}, {input, x});
}

std::string digits(std::size_t i) { return std::to_string(i); }

NameTable convnext_torchvision_names() {
  NameTable out{{"stem.0", "features.0.0"}, {"stem.1", "features.0.1"}};
  for (std::size_t stage = 0; stage < 4; ++stage) {
    const std::string own = "stages." + digits(stage) + ".";
    if (stage > 0) {
      const std::string down = "features." + digits(2 * stage) + ".";
      out.push_back({own + "downsample.0", down + "0"});
      out.push_back({own + "downsample.1", down + "1"});
    }
    const std::string from = own + "blocks.#.", to = "features." + digits(2 * stage + 1) + ".#.";
    out.insert(out.end(), {{from + "gamma", to + "layer_scale"},
                           {from + "conv_dw", to + "block.0"},
                           {from + "norm", to + "block.2"},
                           {from + "mlp.fc1", to + "block.3"},
                           {from + "mlp.fc2", to + "block.5"}});
  }
  out.insert(out.end(), {{"head.norm", "classifier.0"}, {"head.fc", "classifier.2"}});
  return out;
}

NameTable convnext_transformers_names(const std::string& model) {
  const std::string from = "stages.#.blocks.#.", to = model + ".encoder.stages.#.layers.#.";
  return {{"stem.0", model + ".embeddings.patch_embeddings"},
          {"stem.1", model + ".embeddings.layernorm"},
          {"stages.#.downsample.0", model + ".encoder.stages.#.downsampling_layer.0"},
          {"stages.#.downsample.1", model + ".encoder.stages.#.downsampling_layer.1"},
          {from + "gamma", to + "layer_scale_parameter"},
          {from + "conv_dw", to + "dwconv"},
          {from + "norm", to + "layernorm"},
          {from + "mlp.fc1", to + "pwconv1"},
          {from + "mlp.grn", to + "grn"},
          {from + "mlp.fc2", to + "pwconv2"},
          {"head.norm", model + ".layernorm"},
          {"head.fc", "classifier"}};
}

// Layers that are convolutions in timm's small models are Linear elsewhere, with other shapes. torchvision and
// timm do not have every network that transformers' configuration can describe.
LibraryNames names_of(const ConvNextOptions& options) {
  LibraryNames out;
  if (!options.conv_mlp) {
    out.tables[Library::kTransformers] =
        convnext_transformers_names(options.global_response_norm ? "convnextv2" : "convnext");
  }
  if (options.gelu != GeluForm::kExact || options.depths.size() != 4 || options.patch_size != 4) return out;
  out.tables[Library::kTimm] = {};
  if (!options.conv_mlp && !options.global_response_norm)
    out.tables[Library::kTorchvision] = convnext_torchvision_names();
  return out;
}

struct ConvNextSize {
  const char* name;
  std::vector<std::int64_t> depths;
  std::int64_t width;  // of the first stage; it doubles from stage to stage
};

ConvNextOptions options_of(const ConvNextSize& size) {
  return {.depths = size.depths, .widths = {size.width, 2 * size.width, 4 * size.width, 8 * size.width}};
}

ModelEntry timm_entry(const std::string& name, const std::string& prefix, const ConvNextOptions& options,
                      double crop_pct) {
  return {.name = prefix + name,
          .family = options.global_response_norm ? "ConvNeXt V2" : "ConvNeXt",
          .library = Library::kTimm,
          .network = [options] { return build_convnext(options); },
          .names = names_of(options),
          .python = timm_python(name),
          .preprocessing = timm_preprocessing(224, crop_pct)};
}

}  // namespace

Graph build_convnext(const ConvNextOptions& options) {
  Graph graph;
  const Pair patch{options.patch_size, options.patch_size}, two{2, 2};
  std::int64_t width = options.widths[0];
  NodeId x = graph.add("input", Input{3}, {});
  x = graph.add("stem.0", Conv2d{.in = 3, .out = width, .kernel = patch, .stride = patch, .bias = true}, {x});
  x = graph.add("stem.1", LayerNorm2d{width, kPixelEps}, {x});
  for (std::size_t stage = 0; stage < options.depths.size(); ++stage) {
    const std::string name = "stages." + digits(stage);
    const std::int64_t next = options.widths[stage];
    if (stage > 0) {
      x = graph.add(name + ".downsample.0", LayerNorm2d{width, kPixelEps}, {x});
      x = graph.add(name + ".downsample.1",
                    Conv2d{.in = width, .out = next, .kernel = two, .stride = two, .bias = true}, {x});
      width = next;
    }
    for (std::int64_t i = 0; i < options.depths[stage]; ++i)
      x = block(graph, name + ".blocks." + std::to_string(i), options, width, x);
  }
  x = graph.add("head.global_pool", GlobalAvgPool{}, {x});
  x = graph.add("head.norm", LayerNorm{width, options.last_eps}, {x});
  graph.add("head.fc", Linear{width, options.classes}, {x});
  return graph;
}

std::vector<ModelEntry> convnext_models() {
  const ConvNextSize tiny{"tiny", {3, 3, 9, 3}, 96}, small{"small", {3, 3, 27, 3}, 96},
      base{"base", {3, 3, 27, 3}, 128}, large{"large", {3, 3, 27, 3}, 192};
  std::vector<ModelEntry> out;
  const auto torchvision = [&](const ConvNextSize& size, const std::string& hash, int resize) {
    ConvNextOptions options = options_of(size);
    options.spatial_layer_scale = true;
    const std::string name = std::string("convnext_") + size.name;
    const Preprocessing preprocessing{.resize = resize, .crop = 224};
    out.push_back({.name = name,
                   .family = "ConvNeXt",
                   .library = Library::kTorchvision,
                   .network = [options] { return build_convnext(options); },
                   .names = names_of(options),
                   .python = "torchvision.models." + name + "()",
                   .preprocessing = preprocessing,
                   .weights = {torchvision_weights(name, 1, hash, true, preprocessing)}});
  };
  torchvision(tiny, "983f1562", 236);
  torchvision(small, "0c510722", 230);
  torchvision(base, "6075fbad", 232);
  torchvision(large, "ea097f82", 232);

  const std::vector<ConvNextSize> conv_sizes{
      {"atto", {2, 2, 6, 2}, 40}, {"femto", {2, 2, 6, 2}, 48}, {"pico", {2, 2, 6, 2}, 64}, {"nano", {2, 2, 8, 2}, 80}};
  for (const ConvNextSize& size : conv_sizes) {
    ConvNextOptions options = options_of(size);
    options.conv_mlp = true;
    out.push_back(
        timm_entry(std::string("convnext_") + size.name, "", options, std::string(size.name) == "nano" ? 0.95 : 0.875));
  }
  for (const ConvNextSize& size : {tiny, small, base})
    out.push_back(timm_entry(std::string("convnext_") + size.name, "timm/", options_of(size),
                             std::string(size.name) == "base" ? 0.875 : 0.95));
  const auto version_2 = [&](const ConvNextSize& size, bool conv_mlp) {
    ConvNextOptions options = options_of(size);
    options.conv_mlp = conv_mlp;
    options.global_response_norm = true;
    options.layer_scale = false;
    out.push_back(timm_entry(std::string("convnextv2_") + size.name, "", options, 0.875));
  };
  for (const ConvNextSize& size : conv_sizes) version_2(size, true);
  for (const ConvNextSize& size : {tiny, small, base}) version_2(size, false);
  return out;
}

ModelEntry convnext_from_config(const Json& json) {
  const TransformersConfig config(json);
  const bool is_v2 = config.text("model_type") == "convnextv2";
  ConvNextOptions options{.depths = config.list("depths", {3, 3, 9, 3}, TransformersConfig::kMostLayers),
                          .widths = config.list("hidden_sizes", {96, 192, 384, 768}),
                          .patch_size = config.integer("patch_size", 4),
                          .global_response_norm = is_v2,
                          .layer_scale = !is_v2,
                          .wide_response_norm = true,
                          .last_eps = config.positive("layer_norm_eps", 1e-12),
                          .gelu = config.gelu("hidden_act"),
                          .classes = config.classes()};
  config.expect_integer("num_channels", 3);
  if (options.depths.size() != options.widths.size())
    fail("hidden_sizes: got ", counted(options.widths.size(), "value"), ", expected one for each of the ",
         options.depths.size(), " in depths.");
  return config.entry(
      "ConvNeXt", [options] { return build_convnext(options); }, names_of(options));
}

}  // namespace lorikeet
