#include "models/vit.h"

#include <string>
#include <utility>

#include "models/transformer_block.h"
#include "models/transformers_config.h"

namespace lorikeet {
namespace {

// The patches of an image with the tokens before them and their positions.
NodeId embedding(Graph& graph, const VitOptions& options) {
  const std::int64_t side = options.image_size / options.patch_size, patches = side * side, width = options.width;
  const Pair patch{options.patch_size, options.patch_size};
  NodeId x = graph.add("input", Input{3}, {});
  x = graph.add("patch_embed.proj", Conv2d{.in = 3, .out = width, .kernel = patch, .stride = patch, .bias = true}, {x});
  x = graph.add("patch_embed.flatten", PixelsToTokens{}, {x});
  const std::int64_t before = options.distillation_token ? 2 : 1;
  const auto add_positions = [&](std::int64_t prefix) {
    const PositionEmbedding positions{patches + prefix, width, prefix, options.antialias};
    x = graph.add("pos_embed", positions, {x});
  };
  if (!options.embeds_class) add_positions(0);
  // Attention does not depend on the order of the tokens. Registers without positions come first of all, so that the
  // embeddings of the class token and the patches stay together.
  const auto add_registers = [&] {
    if (options.registers > 0) x = graph.add("reg_token", PrependTokens{options.registers, width}, {x});
  };
  if (options.distillation_token) x = graph.add("dist_token", PrependTokens{1, width}, {x});
  x = graph.add("cls_token", PrependTokens{1, width}, {x});
  if (options.embeds_class) add_positions(before);
  add_registers();
  if (options.mask_token) x = graph.add("mask_token", UnusedParameter{{1, width}}, {x});
  return x;
}

// What the classifier reads.
NodeId pooled(Graph& graph, const VitOptions& options, NodeId x) {
  const std::int64_t patches = 1 + options.registers + (options.distillation_token ? 1 : 0);
  if (options.pool == TokenPool::kMean) {
    x = graph.add("pool", MeanTokens{patches}, {x});
    return graph.add("fc_norm", LayerNorm{options.width, options.eps}, {x});
  }
  x = graph.add("norm", LayerNorm{options.width, options.eps}, {x});
  const NodeId first = graph.add("pool", TakeToken{options.registers}, {x});
  if (options.pool == TokenPool::kClass) return first;
  const NodeId mean = graph.add("pool.mean", MeanTokens{patches}, {x});
  return graph.add("pool.cat", Concat{1}, {first, mean});
}

NameTable vit_torchvision_names() {
  const std::string layer = "encoder.layers.encoder_layer_#.";
  return {{"cls_token", "class_token"},
          {"patch_embed.proj", "conv_proj"},
          {"pos_embed", "encoder.pos_embedding"},
          {"blocks.#.norm1", layer + "ln_1"},
          {"blocks.#.attn.qkv", layer + "self_attention", "in_proj_"},
          {"blocks.#.attn.proj", layer + "self_attention.out_proj"},
          {"blocks.#.norm2", layer + "ln_2"},
          {"blocks.#.mlp.fc1", layer + "mlp.0"},
          {"blocks.#.mlp.fc2", layer + "mlp.3"},
          {"norm", "encoder.ln"},
          {"head", "heads.head"}};
}

// Of transformers' ViT and DeiT. `version` 4 is also that of the files.
NameTable vit_names(const std::string& model, int version) {
  const std::string layer = model + (version == 4 ? ".encoder.layer.#." : ".layers.#.");
  const std::string attention = layer + (version == 4 ? "attention.attention." : "attention.");
  NameTable out{{"cls_token", model + ".embeddings.cls_token"},
                {"pos_embed", model + ".embeddings.position_embeddings"},
                {"dist_token", model + ".embeddings.distillation_token"},
                {"patch_embed.proj", model + ".embeddings.patch_embeddings.projection"}};
  if (version == 4) {
    out.insert(out.end(), {{"blocks.#.attn.qkv", attention + "query", "", attention + "key", attention + "value"},
                           {"blocks.#.attn.proj", layer + "attention.output.dense"},
                           {"blocks.#.mlp.fc1", layer + "intermediate.dense"},
                           {"blocks.#.mlp.fc2", layer + "output.dense"},
                           {"blocks.#.norm1", layer + "layernorm_before"},
                           {"blocks.#.norm2", layer + "layernorm_after"}});
  } else {
    out.insert(out.end(), {{"blocks.#.attn.qkv", attention + "q_proj", "", attention + "k_proj", attention + "v_proj"},
                           {"blocks.#.attn.proj", attention + "o_proj"},
                           {"blocks.#.norm1", layer + "layernorm_before"},
                           {"blocks.#.norm2", layer + "layernorm_after"},
                           {"blocks.#.mlp.fc1", layer + "mlp.fc1"},
                           {"blocks.#.mlp.fc2", layer + "mlp.fc2"}});
  }
  out.insert(out.end(), {{"norm", model + ".layernorm"}, {"head", "classifier"}});
  return out;
}

// Of transformers' DINOv2.
NameTable dinov2_names(const std::string& model, int version) {
  const std::string layer = model + ".encoder.layer.#.", attention = layer + "attention.";
  const Rename qkv =
      version == 4 ? Rename{"blocks.#.attn.qkv", attention + "attention.query", "", attention + "attention.key",
                            attention + "attention.value"}
                   : Rename{"blocks.#.attn.qkv", attention + "q_proj", "", attention + "k_proj", attention + "v_proj"};
  return {{"cls_token", model + ".embeddings.cls_token"},
          {"mask_token", model + ".embeddings.mask_token"},
          {"pos_embed", model + ".embeddings.position_embeddings"},
          {"reg_token", model + ".embeddings.register_tokens"},
          {"patch_embed.proj", model + ".embeddings.patch_embeddings.projection"},
          {"blocks.#.norm1", layer + "norm1"},
          qkv,
          {"blocks.#.attn.proj", attention + (version == 4 ? "output.dense" : "o_proj")},
          {"blocks.#.ls1.gamma", layer + "layer_scale1.lambda1"},
          {"blocks.#.norm2", layer + "norm2"},
          {"blocks.#.mlp.fc1", layer + "mlp.fc1"},
          {"blocks.#.mlp.fc2", layer + "mlp.fc2"},
          {"blocks.#.ls2.gamma", layer + "layer_scale2.lambda1"},
          {"norm", model + ".layernorm"},
          {"head", "classifier"}};
}

LibraryNames names_of(const VitOptions& options, const std::string& model) {
  LibraryNames out;
  const bool concatenates = options.pool == TokenPool::kClassAndMean, is_dinov2 = model.starts_with("dinov2");
  const bool is_common = !options.distillation_token && options.gelu == GeluForm::kExact && !concatenates;
  if (is_common) out.tables[Library::kTimm] = {};
  if (is_common && !options.layer_scale && options.registers == 0 && options.embeds_class && options.qkv_bias)
    out.tables[Library::kTorchvision] = vit_torchvision_names();
  // transformers' classifier of DINOv2 reads the class token and the mean, timm's the class token alone.
  if (is_dinov2 && concatenates) {
    out.tables[Library::kTransformers] = dinov2_names(model, 5);
    out.transformers_4 = dinov2_names(model, 4);
  } else if (!is_dinov2 && !options.layer_scale) {
    out.tables[Library::kTransformers] = vit_names(model, 5);
    out.transformers_4 = vit_names(model, 4);
  }
  return out;
}

ModelEntry timm_entry(const std::string& name, const VitOptions& options, const Preprocessing& preprocessing,
                      const std::string& transformers_model = "vit") {
  return {.name = name,
          .family = "ViT",
          .library = Library::kTimm,
          .network = [options] { return build_vit(options); },
          .names = names_of(options, transformers_model),
          .python = timm_python(name, options.classes),
          .preprocessing = preprocessing};
}

ModelEntry torchvision_entry(const std::string& name, const VitOptions& options, const std::string& hash, int resize) {
  const Preprocessing preprocessing{.resize = resize, .crop = 224};
  return {.name = name,
          .family = "ViT",
          .library = Library::kTorchvision,
          .network = [options] { return build_vit(options); },
          .names = names_of(options, "vit"),
          .python = "torchvision.models." + name + "()",
          .preprocessing = preprocessing,
          .weights = {torchvision_weights(name, 1, hash, true, preprocessing)}};
}

struct VitSize {
  const char* name;
  std::int64_t width, depth, heads;
};
constexpr VitSize kTiny{"tiny", 192, 12, 3}, kSmall{"small", 384, 12, 6}, kMedium{"medium", 512, 12, 8},
    kBase{"base", 768, 12, 12}, kLarge{"large", 1024, 24, 16};

VitOptions options_of(const VitSize& size, std::int64_t patch, std::int64_t image) {
  return {.image_size = image,
          .patch_size = patch,
          .width = size.width,
          .depth = size.depth,
          .heads = size.heads,
          .hidden = 4 * size.width};
}

// DeiT crops 224 of 248 pixels, and nothing at 384.
Preprocessing preprocessing_of(std::int64_t image, double mean_and_std) {
  return timm_preprocessing(static_cast<int>(image), image == 224 ? 0.9 : 1.0, mean_and_std);
}

}  // namespace

Graph build_vit(const VitOptions& options) {
  Graph graph;
  for (const char* token : {"cls_token", "reg_token", "pos_embed", "dist_token"}) graph.declare(token);
  NodeId x = embedding(graph, options);
  const TransformerBlock block{.width = options.width,
                               .heads = options.heads,
                               .hidden = options.hidden,
                               .eps = options.eps,
                               .activation = Gelu(options.gelu),
                               .qkv_bias = options.qkv_bias,
                               .layer_scale = options.layer_scale};
  for (std::int64_t index = 0; index < options.depth; ++index)
    x = add_transformer_block(graph, "blocks." + std::to_string(index), block, x);
  x = pooled(graph, options, x);
  const std::int64_t features = options.pool == TokenPool::kClassAndMean ? 2 * options.width : options.width;
  graph.add("head", Linear{features, options.classes}, {x});
  return graph;
}

std::vector<ModelEntry> vit_models() {
  std::vector<ModelEntry> out{torchvision_entry("vit_b_16", options_of(kBase, 16, 224), "c867db91", 256),
                              torchvision_entry("vit_b_32", options_of(kBase, 32, 224), "d86f8d99", 256),
                              torchvision_entry("vit_l_16", options_of(kLarge, 16, 224), "852ce7e3", 242)};
  const auto name = [](const char* prefix, const VitSize& size, std::int64_t patch, std::int64_t image) {
    return prefix + std::string(size.name) + "_patch" + std::to_string(patch) + "_" + std::to_string(image);
  };
  constexpr std::int64_t kImages[]{224, 384};
  constexpr double kHalf = 0.5;  // mean and deviation of Google's weights
  for (const VitSize& size : {kTiny, kSmall, kBase, kLarge}) {
    for (const std::int64_t patch : {16, 32}) {
      if (patch == 32 && std::string(size.name) == "tiny") continue;  // timm has none
      for (const std::int64_t image : kImages)
        out.push_back(timm_entry(name("vit_", size, patch, image), options_of(size, patch, image),
                                 preprocessing_of(image, kHalf)));
    }
  }
  for (const VitSize& size : {kTiny, kSmall, kBase}) {
    for (const std::int64_t image : kImages) {
      if (image == 384 && std::string(size.name) != "base") continue;
      out.push_back(
          timm_entry(name("deit_", size, 16, image), options_of(size, 16, image), preprocessing_of(image, 0)));
    }
  }
  for (const VitSize& size : {kSmall, kMedium, kBase, kLarge}) {
    for (const std::int64_t image : kImages) {
      if (image == 384 && std::string(size.name) == "medium") continue;
      VitOptions options = options_of(size, 16, image);
      options.layer_scale = true;
      options.embeds_class = false;
      out.push_back(timm_entry(name("deit3_", size, 16, image), options, preprocessing_of(image, 0)));
    }
  }
  for (const VitSize& size : {kSmall, kBase, kLarge}) {
    for (const std::int64_t registers : {0, 4}) {
      VitOptions options = options_of(size, 14, 518);
      options.layer_scale = true;
      options.registers = registers;
      options.embeds_class = registers == 0;
      out.push_back(
          timm_entry("vit_" + std::string(size.name) + "_patch14" + (registers > 0 ? "_reg4" : "") + "_dinov2", options,
                     preprocessing_of(518, 0), registers > 0 ? "dinov2_with_registers" : "dinov2"));
    }
  }
  return out;
}

ModelEntry vit_from_config(const Json& json) {
  const TransformersConfig config(json);
  const std::string type = config.text("model_type");
  const bool is_dinov2 = type.starts_with("dinov2");
  VitOptions options{.image_size = config.integer("image_size", is_dinov2 ? 518 : 224),
                     .patch_size = config.integer("patch_size", is_dinov2 ? 14 : 16),
                     .width = config.integer("hidden_size", 768),
                     .depth = config.integer("num_hidden_layers", 12, TransformersConfig::kMostLayers),
                     .heads = config.integer("num_attention_heads", 12),
                     .eps = config.positive("layer_norm_eps", is_dinov2 ? 1e-6 : 1e-12),
                     .gelu = config.gelu("hidden_act"),
                     .qkv_bias = config.flag("qkv_bias", true),
                     .classes = config.classes()};
  config.check_divides("num_attention_heads", options.heads, "hidden_size", options.width);
  config.check_divides("patch_size", options.patch_size, "image_size", options.image_size);
  config.expect_integer("num_channels", 3);
  options.hidden = config.integer("intermediate_size", 4 * options.width);
  if (is_dinov2) {
    options.hidden = options.width * config.integer("mlp_ratio", 4);
    config.expect_flag("use_swiglu_ffn", false);
    options.layer_scale = true;
    options.mask_token = config.flag("use_mask_token", true);
    options.pool = TokenPool::kClassAndMean;
    options.antialias = type == "dinov2_with_registers";
    if (type == "dinov2_with_registers") options.registers = config.integer("num_register_tokens", 4);
  } else {
    options.distillation_token = type == "deit";
    options.antialias = false;
  }
  return config.entry(
      "ViT", [options] { return build_vit(options); }, names_of(options, type));
}

}  // namespace lorikeet
