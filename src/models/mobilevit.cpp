#include "models/mobilevit.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "base/error.h"
#include "base/text.h"
#include "models/inverted_residual.h"
#include "models/transformer_block.h"
#include "models/transformers_config.h"

namespace lorikeet {
namespace {

// Inverted residual blocks in the first two stages, and transformer blocks in the others, after one inverted residual
// block.
constexpr std::array<std::int64_t, 5> kDepths{1, 3, 2, 4, 3};
constexpr std::size_t kFirstWithTokens = 2;

class MobileVitBuilder {
 public:
  explicit MobileVitBuilder(const MobileVitOptions& options) : options_(options) {}

  Graph build() {
    NodeId x = graph_.add("input", Input{3}, {});
    x = conv_norm("stem", square_conv(3, options_.channels[0], 3, 2), x);
    for (std::size_t stage = 0; stage < kDepths.size(); ++stage) {
      const std::string name = "stages." + std::to_string(stage) + ".";
      const std::int64_t in = options_.channels[stage], out = options_.channels[stage + 1];
      const bool has_tokens = stage >= kFirstWithTokens;
      for (std::int64_t i = 0; i < (has_tokens ? 1 : kDepths[stage]); ++i) {
        const bool is_first = i == 0;
        x = inverted(name + std::to_string(i), is_first ? in : out, out, stage > 0 && is_first ? stride(stage) : kNone,
                     x);
      }
      if (has_tokens) x = attend(name + "1", stage, x);
    }
    const std::int64_t last = options_.channels[5], head = options_.channels[6];
    x = conv_norm("final_conv", square_conv(last, head, 1, 1), x);
    x = graph_.add("head.global_pool", GlobalAvgPool{}, {x});
    graph_.add("head.fc", Linear{head, options_.classes}, {x});
    return std::move(graph_);
  }

 private:
  struct Stride {
    std::int64_t stride, dilation;
  };
  static constexpr Stride kNone{1, 1};

  // Of the first block of a stage.
  Stride stride(std::size_t stage) const {
    const bool dilates_4 = options_.output_stride == 8, dilates_5 = dilates_4 || options_.output_stride == 16;
    if (stage == 3 && dilates_4) return {1, 1};
    if (stage == 4 && dilates_5) return {1, dilates_4 ? 2 : 1};
    return {2, 1};
  }

  NodeId conv_norm(const std::string& name, const Conv2d& layer, NodeId x, bool activates = true) {
    x = graph_.add(name + ".conv", layer, {x});
    x = graph_.add(name + ".bn", BatchNorm2d{layer.out}, {x});
    return activates ? graph_.add(name + ".act", options_.activation, {x}) : x;
  }

  NodeId inverted(const std::string& name, std::int64_t in, std::int64_t out, const Stride& step, NodeId input) {
    const std::int64_t hidden = make_divisible(std::nearbyint(options_.expand_ratio * static_cast<double>(in)));
    Conv2d depthwise = square_conv(hidden, hidden, 3, step.stride);
    depthwise.groups = hidden;
    depthwise.dilation = depthwise.padding = {step.dilation, step.dilation};
    NodeId x = conv_norm(name + ".conv1_1x1", square_conv(in, hidden, 1, 1), input);
    x = conv_norm(name + ".conv2_kxk", depthwise, x);
    x = conv_norm(name + ".conv3_1x1", square_conv(hidden, out, 1, 1), x, /*activates=*/false);
    return step.stride == 1 && in == out ? graph_.add(name + ".add", Add{}, {x, input}) : x;
  }

  // The image with what its tokens learn from each other.
  NodeId attend(const std::string& name, std::size_t stage, NodeId input) {
    const std::int64_t channels = options_.channels[stage + 1], width = options_.widths[stage - kFirstWithTokens];
    const TransformerBlock block{.width = width,
                                 .heads = options_.heads,
                                 .hidden = static_cast<std::int64_t>(options_.mlp_ratio * static_cast<double>(width)),
                                 .eps = options_.eps,
                                 .activation = options_.activation,
                                 .qkv_bias = options_.qkv_bias};
    const NodeId local = conv_norm(name + ".conv_kxk", square_conv(channels, channels, options_.kernel, 1), input);
    NodeId x = graph_.add(name + ".conv_1x1", square_conv(channels, width, 1, 1), {local});
    x = graph_.add(name + ".unfold", UnfoldPatches{width, options_.patch}, {x});
    for (std::int64_t i = 0; i < kDepths[stage]; ++i)
      x = add_transformer_block(graph_, name + ".transformer." + std::to_string(i), block, x);
    x = graph_.add(name + ".norm", LayerNorm{width, options_.eps}, {x});
    x = graph_.add(name + ".fold", FoldPatches{width, options_.patch}, {x, input});
    x = conv_norm(name + ".conv_proj", square_conv(width, channels, 1, 1), x);
    x = graph_.add(name + ".cat", Concat{1}, {input, x});
    return conv_norm(name + ".conv_fusion", square_conv(2 * channels, channels, options_.kernel, 1), x);
  }

  const MobileVitOptions& options_;
  Graph graph_;
};

NameTable mobilevit_transformers_names() {
  const std::string model = "mobilevit.";
  NameTable out;
  const auto pair = [&](const std::string& from, const std::string& to) {
    out.insert(out.end(), {{from + ".conv", to + ".convolution"}, {from + ".bn", to + ".normalization"}});
  };
  const auto inverted = [&](const std::string& from, const std::string& to) {
    pair(from + ".conv1_1x1", to + ".expand_1x1");
    pair(from + ".conv2_kxk", to + ".conv_3x3");
    pair(from + ".conv3_1x1", to + ".reduce_1x1");
  };
  pair("stem", model + "conv_stem");
  for (std::size_t stage = 0; stage < kDepths.size(); ++stage) {
    const std::string from = "stages." + std::to_string(stage) + ".";
    const std::string to = model + "encoder.layer." + std::to_string(stage) + ".";
    if (stage < kFirstWithTokens) {
      inverted(from + "#", to + "layer.#");
      continue;
    }
    inverted(from + "0", to + "downsampling_layer");
    pair(from + "1.conv_kxk", to + "conv_kxk");
    out.push_back({from + "1.conv_1x1", to + "conv_1x1.convolution"});
    const std::string own = from + "1.transformer.#.", layer = to + "transformer.layer.#.",
                      attention = layer + "attention.attention.";
    out.insert(out.end(), {{own + "attn.qkv", attention + "query", "", attention + "key", attention + "value"},
                           {own + "attn.proj", layer + "attention.output.dense"},
                           {own + "mlp.fc1", layer + "intermediate.dense"},
                           {own + "mlp.fc2", layer + "output.dense"},
                           {own + "norm1", layer + "layernorm_before"},
                           {own + "norm2", layer + "layernorm_after"},
                           {from + "1.norm", to + "layernorm"}});
    pair(from + "1.conv_proj", to + "conv_projection");
    pair(from + "1.conv_fusion", to + "fusion");
  }
  pair("final_conv", model + "conv_1x1_exp");
  out.push_back({"head.fc", "classifier"});
  return out;
}

// timm has no other kernels, patches and strides, and no other transformer blocks, than those of the defaults.
LibraryNames mobilevit_names(const MobileVitOptions& options) {
  LibraryNames out{{{Library::kTransformers, mobilevit_transformers_names()}}};
  const MobileVitOptions own;
  const bool is_common = options.kernel == own.kernel && options.patch == own.patch &&
                         options.output_stride == own.output_stride && options.heads == own.heads &&
                         options.mlp_ratio == own.mlp_ratio && options.eps == own.eps && options.qkv_bias &&
                         std::holds_alternative<Silu>(options.activation);
  if (is_common) out.tables[Library::kTimm] = {};
  return out;
}

template <std::size_t kCount>
std::array<std::int64_t, kCount> array_of(const TransformersConfig& config, const char* key,
                                          const std::array<std::int64_t, kCount>& otherwise) {
  const auto values = config.list(key, {otherwise.begin(), otherwise.end()});
  if (values.size() != kCount) fail(key, ": got ", counted(values.size(), "value"), ", expected ", kCount, ".");
  std::array<std::int64_t, kCount> out{};
  std::copy(values.begin(), values.end(), out.begin());
  return out;
}

}  // namespace

Graph build_mobilevit(const MobileVitOptions& options) { return MobileVitBuilder(options).build(); }

std::vector<ModelEntry> mobilevit_models() {
  const auto entry = [](const std::string& size, const MobileVitOptions& options) {
    Preprocessing preprocessing = timm_preprocessing(256, 0.9);
    preprocessing.mean = {0, 0, 0};
    preprocessing.std = {1, 1, 1};
    return ModelEntry{.name = "mobilevit_" + size,
                      .family = "MobileViT",
                      .library = Library::kTimm,
                      .network = [options] { return build_mobilevit(options); },
                      .names = mobilevit_names(options),
                      .python = timm_python("mobilevit_" + size),
                      .preprocessing = preprocessing};
  };
  return {entry("xxs", {.channels = {16, 16, 24, 48, 64, 80, 320}, .widths = {64, 80, 96}, .expand_ratio = 2}),
          entry("xs", {.channels = {16, 32, 48, 64, 80, 96, 384}, .widths = {96, 120, 144}}), entry("s", {})};
}

ModelEntry mobilevit_from_config(const Json& json) {
  const TransformersConfig config(json);
  constexpr double kMostTimes = 100;
  constexpr std::int64_t kLargestKernel = 31;
  constexpr std::int64_t kLargestPatch = 32;  // images are enlarged to a multiple of it
  const MobileVitOptions defaults;
  const MobileVitOptions options{.channels = array_of(config, "neck_hidden_sizes", defaults.channels),
                                 .widths = array_of(config, "hidden_sizes", defaults.widths),
                                 .heads = config.integer("num_attention_heads", 4),
                                 .mlp_ratio = config.positive("mlp_ratio", 2, kMostTimes),
                                 .expand_ratio = config.positive("expand_ratio", 4, kMostTimes),
                                 .kernel = config.integer("conv_kernel_size", 3, kLargestKernel),
                                 .patch = config.integer("patch_size", 2, kLargestPatch),
                                 .output_stride = config.integer("output_stride", 32),
                                 .eps = config.positive("layer_norm_eps", 1e-5),
                                 .qkv_bias = config.flag("qkv_bias", true),
                                 .activation = config.activation("hidden_act", "silu"),
                                 .classes = config.classes()};
  config.expect_integer("num_channels", 3);
  for (const std::int64_t width : options.widths) {
    config.check_divides("num_attention_heads", options.heads, "hidden_sizes", width);
    if (options.mlp_ratio * static_cast<double>(width) < 1)
      fail("mlp_ratio: got ", options.mlp_ratio, ", expected at least one feature for each of hidden_sizes.");
  }
  if (options.kernel % 2 == 0) fail("conv_kernel_size: got ", options.kernel, ", expected an odd number.");
  return config.entry(
      "MobileViT", [options] { return build_mobilevit(options); }, mobilevit_names(options));
}

}  // namespace lorikeet
