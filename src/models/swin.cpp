#include "models/swin.h"

#include <string>
#include <utility>

#include "base/error.h"
#include "base/text.h"
#include "models/transformer_block.h"
#include "models/transformers_config.h"

namespace lorikeet {
namespace {

struct SwinStage {
  std::int64_t width;
  std::int64_t heads;
};

NodeId window_attention(Graph& graph, const std::string& name, const SwinOptions& options, const SwinStage& stage,
                        std::int64_t shift, NodeId input) {
  const std::int64_t width = stage.width;
  const bool is_torchvision = options.library == Library::kTorchvision;
  const WindowPartition partition{.window = options.window,
                                  .shift = shift,
                                  .shrinks = !is_torchvision,
                                  .rolls_first = options.library == Library::kTimm};
  const WindowAttention attention{.features = width,
                                  .heads = stage.heads,
                                  .window = options.window,
                                  .shift = shift,
                                  .cosine = options.v2,
                                  .has_buffers = is_torchvision};
  NodeId x = graph.add(name + ".windows", partition, {input});
  std::vector<NodeId> inputs{graph.add(name + ".qkv", Linear{width, 3 * width, options.qkv_bias && !options.v2}, {x})};
  if (options.v2) {
    constexpr std::int64_t kHidden = 512;
    NodeId bias = graph.add(name + ".coordinates", RelativeCoordinates{options.window}, {x});
    bias = graph.add(name + ".cpb_mlp.0", Linear{2, kHidden}, {bias});
    bias = graph.add(name + ".cpb_mlp.1", Relu{}, {bias});
    inputs.push_back(graph.add(name + ".cpb_mlp.2", Linear{kHidden, stage.heads, false}, {bias}));
  }
  x = graph.add(name, attention, inputs);
  x = graph.add(name + ".proj", Linear{width, width}, {x});
  return graph.add(name + ".reverse", WindowReverse{partition}, {x, input});
}

NodeId swin_block(Graph& graph, const std::string& name, const SwinOptions& options, const SwinStage& stage,
                  std::int64_t shift, NodeId input) {
  const std::int64_t width = stage.width;
  const TransformerBlock block{.width = width,
                               .hidden = static_cast<std::int64_t>(options.mlp_ratio * static_cast<double>(width)),
                               .activation = Gelu(options.gelu)};
  const auto norm = [&](const char* which, NodeId x) {
    return graph.add(name + which, LayerNorm{width, options.eps}, {x});
  };
  const auto mlp = [&](NodeId x) { return add_mlp(graph, name, block, x); };
  const auto attend = [&](NodeId x) { return window_attention(graph, name + ".attn", options, stage, shift, x); };
  const NodeId attended = options.v2 ? norm(".norm1", attend(input)) : attend(norm(".norm1", input));
  const NodeId middle = graph.add(name + ".add1", Add{}, {input, attended});
  const NodeId mixed = options.v2 ? norm(".norm2", mlp(middle)) : mlp(norm(".norm2", middle));
  return graph.add(name + ".add2", Add{}, {middle, mixed});
}

// Swin V2 normalises after the reduction.
NodeId merging(Graph& graph, const std::string& name, const SwinOptions& options, std::int64_t width, NodeId x) {
  x = graph.add(name + ".merge", MergePatches{}, {x});
  const auto reduced = [&] { return graph.add(name + ".reduction", Linear{4 * width, 2 * width, false}, {x}); };
  if (options.v2) return graph.add(name + ".norm", LayerNorm{2 * width}, {reduced()});
  x = graph.add(name + ".norm", LayerNorm{4 * width}, {x});
  return reduced();
}

NameTable torchvision_swin_names(std::size_t stages) {
  NameTable out{{"patch_embed.proj", "features.0.0"}, {"patch_embed.norm", "features.0.2"}};
  for (std::size_t stage = 0; stage < stages; ++stage) {
    const std::string own = "layers." + std::to_string(stage), block = own + ".blocks.#";
    const std::string merged = "features." + std::to_string(2 * stage);
    const std::string to = "features." + std::to_string(2 * stage + 1) + ".#";
    if (stage > 0) {
      out.push_back({own + ".downsample.reduction", merged + ".reduction"});
      out.push_back({own + ".downsample.norm", merged + ".norm"});
    }
    for (const auto& [from, name] :
         std::initializer_list<std::pair<const char*, const char*>>{{".norm1", ".norm1"},
                                                                    {".attn", ".attn"},
                                                                    {".attn.qkv", ".attn.qkv"},
                                                                    {".attn.proj", ".attn.proj"},
                                                                    {".attn.cpb_mlp.#", ".attn.cpb_mlp.#"},
                                                                    {".norm2", ".norm2"},
                                                                    {".mlp.fc1", ".mlp.0"},
                                                                    {".mlp.fc2", ".mlp.3"}})
      out.push_back({block + from, to + name});
  }
  out.insert(out.end(), {{"norm", "norm"}, {"head.fc", "head"}});
  return out;
}

// Files have the names of version 4.
NameTable transformers_swin_names(std::size_t stages, int version) {
  NameTable out{{"patch_embed.proj", "swin.embeddings.patch_embeddings.projection"},
                {"patch_embed.norm", "swin.embeddings.norm"}};
  for (std::size_t stage = 0; stage < stages; ++stage) {
    const std::string block = "layers." + std::to_string(stage) + ".blocks.#";
    const std::string layer = "swin.encoder.layers." + std::to_string(stage), to = layer + ".blocks.#.";
    if (version == 4) {
      const std::string self = to + "attention.self.";
      out.insert(out.end(), {{block + ".norm1", to + "layernorm_before"},
                             {block + ".attn", to + "attention.self"},
                             {block + ".attn.qkv", self + "query", "", self + "key", self + "value"},
                             {block + ".attn.proj", to + "attention.output.dense"},
                             {block + ".norm2", to + "layernorm_after"},
                             {block + ".mlp.fc1", to + "intermediate.dense"},
                             {block + ".mlp.fc2", to + "output.dense"}});
    } else {
      const std::string self = to + "attention.";
      out.insert(out.end(), {{block + ".attn.qkv", self + "q_proj", "", self + "k_proj", self + "v_proj"},
                             {block + ".attn.proj", self + "o_proj"},
                             {block + ".attn", self + "relative_position_bias"},
                             {block + ".norm1", to + "layernorm_before"},
                             {block + ".norm2", to + "layernorm_after"},
                             {block + ".mlp.fc1", to + "mlp.fc1"},
                             {block + ".mlp.fc2", to + "mlp.fc2"}});
    }
    const std::string next = "layers." + std::to_string(stage + 1) + ".downsample.";
    if (stage + 1 < stages)
      out.insert(out.end(),
                 {{next + "reduction", layer + ".downsample.reduction"}, {next + "norm", layer + ".downsample.norm"}});
  }
  out.insert(out.end(), {{"norm", "swin.layernorm"}, {"head.fc", "classifier"}});
  return out;
}

// torchvision and timm do not have every network that transformers' configuration can describe.
LibraryNames swin_names(const SwinOptions& options) {
  const std::size_t stages = options.depths.size();
  if (options.v2) return {{{Library::kTorchvision, torchvision_swin_names(stages)}}};
  LibraryNames out{{{Library::kTransformers, transformers_swin_names(stages, 5)}}, transformers_swin_names(stages, 4)};
  if (options.gelu != GeluForm::kExact || options.eps != SwinOptions{}.eps) return out;
  out.tables[Library::kTimm] = {};
  if (options.qkv_bias) out.tables[Library::kTorchvision] = torchvision_swin_names(stages);
  return out;
}

ModelEntry swin_entry(const std::string& name, const SwinOptions& options) {
  const bool is_timm = options.library == Library::kTimm;
  return {.name = name,
          .family = "Swin",
          .library = options.library,
          .network = [options] { return build_swin(options); },
          .names = swin_names(options),
          .python = is_timm ? timm_python(name, options.classes) : "torchvision.models." + name + "()",
          .preprocessing = timm_preprocessing(224, 0.9)};
}

ModelEntry torchvision_swin(const std::string& name, SwinOptions options, const std::string& hash, int resize) {
  options.library = Library::kTorchvision;
  ModelEntry out = swin_entry(name, options);
  out.preprocessing = {.resize = resize, .crop = options.v2 ? 256 : 224, .interpolation = Interpolation::kBicubic};
  out.weights = {torchvision_weights(name, 1, hash, true, out.preprocessing)};
  return out;
}

}  // namespace

Graph build_swin(const SwinOptions& options) {
  Graph graph;
  const Pair patch{options.patch_size, options.patch_size};
  std::int64_t width = options.width;
  NodeId x = graph.add("input", Input{3}, {});
  x = graph.add("patch_embed.proj", Conv2d{.in = 3, .out = width, .kernel = patch, .stride = patch, .bias = true}, {x});
  x = graph.add("patch_embed.tokens", channels_last_axes(), {x});
  x = graph.add("patch_embed.norm", LayerNorm{width}, {x});
  for (std::size_t stage = 0; stage < options.depths.size(); ++stage) {
    const std::string name = "layers." + std::to_string(stage);
    if (stage > 0) {
      x = merging(graph, name + ".downsample", options, width, x);
      width *= 2;
    }
    for (std::int64_t index = 0; index < options.depths[stage]; ++index) {
      const std::int64_t shift = index % 2 == 0 ? 0 : options.window / 2;
      x = swin_block(graph, name + ".blocks." + std::to_string(index), options, {width, options.heads[stage]}, shift,
                     x);
    }
  }
  x = graph.add("norm", LayerNorm{width, options.eps}, {x});
  x = graph.add("head.image", channels_first_axes(), {x});
  x = graph.add("head.global_pool", GlobalAvgPool{}, {x});
  graph.add("head.fc", Linear{width, options.classes}, {x});
  return graph;
}

std::vector<ModelEntry> swin_models() {
  const SwinOptions tiny, small{.depths = {2, 2, 18, 2}},
      base{.width = 128, .depths = {2, 2, 18, 2}, .heads = {4, 8, 16, 32}}, tiny_v2{.window = 8, .v2 = true};
  return {torchvision_swin("swin_t", tiny, "704ceda3", 232), torchvision_swin("swin_s", small, "5e29d889", 246),
          torchvision_swin("swin_b", base, "68c6b09e", 238), torchvision_swin("swin_v2_t", tiny_v2, "b137f0e2", 260),
          swin_entry("swin_tiny_patch4_window7_224", tiny),  swin_entry("swin_small_patch4_window7_224", small),
          swin_entry("swin_base_patch4_window7_224", base)};
}

ModelEntry swin_from_config(const Json& json) {
  constexpr std::size_t kMostStages = 8;
  constexpr std::int64_t kLargestWindow = 256;
  const TransformersConfig config(json);
  SwinOptions options{.patch_size = config.integer("patch_size", 4),
                      .width = config.integer("embed_dim", 96),
                      .depths = config.list("depths", {2, 2, 6, 2}, TransformersConfig::kMostLayers),
                      .heads = config.list("num_heads", {3, 6, 12, 24}),
                      .window = config.integer("window_size", 7, kLargestWindow),
                      .mlp_ratio = config.positive("mlp_ratio", 4),
                      .eps = config.positive("layer_norm_eps", 1e-5),
                      .gelu = config.gelu("hidden_act"),
                      .qkv_bias = config.flag("qkv_bias", true),
                      .library = Library::kTransformers,
                      .classes = config.classes()};
  if (options.depths.size() > kMostStages)
    fail("depths: got ", options.depths.size(), " stages, expected at most ", kMostStages, ".");
  if (options.heads.size() != options.depths.size())
    fail("num_heads: got ", counted(options.heads.size(), "entry"), ", expected one per entry of depths, ",
         options.depths.size(), ".");
  for (std::size_t stage = 0; stage < options.heads.size(); ++stage)
    config.check_divides("num_heads", options.heads[stage], "embed_dim", options.width << stage);
  config.check_divides("patch_size", options.patch_size, "image_size", config.integer("image_size", 224));
  config.expect_integer("num_channels", 3);
  config.expect_flag("use_absolute_embeddings", false);
  return config.entry(
      "Swin", [options] { return build_swin(options); }, swin_names(options));
}

}  // namespace lorikeet
