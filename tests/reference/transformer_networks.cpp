// Writes small transformers for tests/reference/transformer_networks_test.py to build the same from the modules of
// timm, transformers and PyTorch: NAME.safetensors with the weights, images, logits, and the gradients of a weighted
// sum of the logits; the names of the weights in order in its metadata; NAME.onnx. And deep/, an adapter that names 200
// layers, with deep.safetensors: the base's weights, images, and the logits with the adapter. For
// tests/reference/attention_test.py adapters of torchvision's attention: a folder each, with logits.safetensors beside
// the adapter's files.
//
//   transformer_networks FOLDER
#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include <cstdio>
#include <filesystem>

#include "adapters/adapter_folder.h"
#include "adapters/extract.h"
#include "adapters/target_sets.h"
#include "base/json.h"
#include "engine/executor.h"
#include "engine/small_networks.h"
#include "export/onnx_export.h"
#include "io/safetensors.h"

using namespace lorikeet;

namespace {

constexpr std::int64_t kFeatures = 12, kHeads = 3, kHidden = 24, kTokens = 4;

NodeId patches(Graph& graph, const std::string& name) {
  const NodeId input = graph.add("input", Input{3}, {});
  const Conv2d conv{.in = 3, .out = kFeatures, .kernel = {4, 4}, .stride = {4, 4}, .bias = true};
  return graph.add("tokens", PixelsToTokens{}, {graph.add(name, conv, {input})});
}

// Attention over three Linear nodes, GELU by tanh: transformers' ViTForImageClassification, one layer.
Graph transformers_vit() {
  Graph graph;
  NodeId x = patches(graph, "vit.embeddings.patch_embeddings.projection");
  x = graph.add("vit.embeddings.cls_token", PrependTokens{1, kFeatures}, {x});
  x = graph.add("vit.embeddings.position_embeddings", PositionEmbedding{kTokens + 1, kFeatures}, {x});
  const std::string layer = "vit.layers.0.";
  NodeId y = graph.add(layer + "layernorm_before", LayerNorm{kFeatures, 1e-12}, {x});
  std::vector<NodeId> qkv;
  for (const char* name : {"q_proj", "k_proj", "v_proj"})
    qkv.push_back(graph.add(layer + "attention." + name, Linear{kFeatures, kFeatures}, {y}));
  y = graph.add(layer + "attention", Attention{kFeatures, kHeads}, qkv);
  y = graph.add(layer + "attention.o_proj", Linear{kFeatures, kFeatures}, {y});
  x = graph.add(layer + "add", Add{}, {x, y});
  y = graph.add(layer + "layernorm_after", LayerNorm{kFeatures, 1e-12}, {x});
  y = graph.add(layer + "mlp.fc1", Linear{kFeatures, kHidden}, {y});
  y = graph.add(layer + "mlp.activation_fn", Gelu(GeluForm::kTanh), {y});
  y = graph.add(layer + "mlp.fc2", Linear{kHidden, kFeatures}, {y});
  x = graph.add(layer + "add_1", Add{}, {x, y});
  x = graph.add("vit.layernorm", LayerNorm{kFeatures, 1e-12}, {x});
  graph.add("classifier", Linear{kFeatures, 5}, {graph.add("class", TakeToken{}, {x})});
  return graph;
}

// torch.nn.TransformerEncoderLayer, normalised after each sum with ReLU, then normalised before with GELU. The packed
// projection of torch.nn.MultiheadAttention is the node `in_proj`.
Graph encoder() {
  Graph graph;
  NodeId x = patches(graph, "patch");
  for (const bool norm_first : {false, true}) {
    const std::string layer = norm_first ? "layers.1." : "layers.0.";
    const auto attention = [&](NodeId in) {
      NodeId y = graph.add(layer + "self_attn.in_proj", Linear{kFeatures, 3 * kFeatures}, {in});
      y = graph.add(layer + "self_attn", Attention{kFeatures, kHeads}, {y});
      return graph.add(layer + "self_attn.out_proj", Linear{kFeatures, kFeatures}, {y});
    };
    const auto feed_forward = [&](NodeId in) {
      NodeId y = graph.add(layer + "linear1", Linear{kFeatures, kHidden}, {in});
      y = norm_first ? graph.add(layer + "activation", Gelu{}, {y}) : graph.add(layer + "activation", Relu{}, {y});
      return graph.add(layer + "linear2", Linear{kHidden, kFeatures}, {y});
    };
    const auto norm = [&](const char* name, NodeId in) { return graph.add(layer + name, LayerNorm{kFeatures}, {in}); };
    if (norm_first) {
      x = graph.add(layer + "add1", Add{}, {x, attention(norm("norm1", x))});
      x = graph.add(layer + "add2", Add{}, {x, feed_forward(norm("norm2", x))});
    } else {
      x = norm("norm1", graph.add(layer + "add1", Add{}, {x, attention(x)}));
      x = norm("norm2", graph.add(layer + "add2", Add{}, {x, feed_forward(x)}));
    }
  }
  graph.add("fc", Linear{kFeatures, 5}, {graph.add("last", TakeToken{kTokens - 1}, {x})});
  return graph;
}

void write_network(const std::filesystem::path& folder, const std::string& name, const Graph& graph) {
  NamedTensors weights;
  for (const auto& [key, value] : random_weights(graph, 1)) weights.add(key, value.clone().set_requires_grad(true));
  const Network network(graph, weights);
  at::Generator generator = seeded(2);
  const at::Tensor images = at::empty({2, 3, 8, 8}).normal_(0, 1, generator).set_requires_grad(true);
  const at::Tensor direction = at::empty({2, 5}).normal_(0, 1, generator);
  const at::Tensor logits = evaluate(network, images);
  (logits * direction).sum().backward();

  NamedTensors out;
  const auto add = [&](const std::string& key, const at::Tensor& tensor) {
    out.add(key, tensor.detach().contiguous());
  };
  add("images", images);
  add("direction", direction);
  add("logits", logits);
  add("fused.logits", make_fused_executor(network, {})->predict(images.detach()));
  add("gradient.images", images.grad());
  Json names = Json::array();
  NamedTensors plain;
  for (const auto& parameter : graph.parameters()) {
    const at::Tensor& tensor = *weights.find(parameter.name);
    names.push_back(parameter.name);
    add("weight." + parameter.name, tensor);
    add("gradient." + parameter.name, tensor.grad());
    plain.add(parameter.name, tensor.detach());
  }
  out.metadata = {{"names", names.dump()}};
  write_safetensors(folder / (name + ".safetensors"), out);
  OnnxModel model = to_onnx(graph, plain, OnnxExportOptions{});
  model.name = name;
  write_onnx(folder / (name + ".onnx"), model);
}

void write_deep_adapter(const std::filesystem::path& folder) {
  const Graph graph = small_vit({.depth = 50});
  const NamedTensors base = random_weights(graph, 1);
  NamedTensors tuned, out;
  at::Generator generator = seeded(2);
  for (const auto& [name, tensor] : base) {
    const bool is_target = name.starts_with("blocks.") && name.ends_with(".weight") && tensor.dim() == 2;
    tuned.add(name, is_target ? tensor + at::empty(tensor.sizes()).normal_(0, 0.05, generator) : tensor);
    out.add("weight." + name, tensor);
  }
  AdapterFolder adapter = extract_lora(graph, base, tuned, {.rank = 2}).folder;
  Network network(adapt(graph, adapter.spec), base, /*seed=*/0);
  network.load_adapter_tensors(adapter.tensors);
  out.add("images", at::empty({2, 3, 8, 8}).normal_(0, 1, generator));
  out.add("base.logits", make_fused_executor(Network(graph, base), {})->predict(*out.find("images")));
  out.add("logits", make_fused_executor(network, {})->predict(*out.find("images")));
  write_adapter_folder(folder / "deep", adapter);
  write_safetensors(folder / "deep.safetensors", out);
}

// An adapter as if it had been trained, with the logits of the network with it, of its merged weights, and the
// gradients of a weighted sum of the logits.
void write_adapter(const std::filesystem::path& folder, AdapterSpec spec) {
  const Graph graph = small_torchvision_vit();
  expand_target_set(graph, spec.config);
  const Network network = trained_network(spec, 1, graph);
  const Network start(adapt(graph, spec), random_weights(graph, 1), 1);
  at::Generator generator = seeded(2);
  const at::Tensor images = at::empty({2, 3, 8, 8}).normal_(0, 1, generator);
  const at::Tensor direction = at::empty({2, 5}).normal_(0, 1, generator);
  const at::Tensor logits = evaluate(network, images);
  (logits * direction).sum().backward();
  SavedAdapter saved = network.saved_adapter();
  write_adapter_folder(folder, {{saved.config, std::nullopt, std::nullopt}, std::nullopt, std::move(saved.tensors)});

  NamedTensors out;
  const auto add = [&](const std::string& key, const at::Tensor& tensor) {
    out.add(key, tensor.detach().contiguous());
  };
  add("images", images);
  add("direction", direction);
  add("logits", logits);
  add("start.logits", evaluate(start, images));
  add("merged.logits", evaluate(Network(network.graph(), network.merged()), images));
  for (const auto& [key, tensor] : random_weights(graph, 1)) add("weight." + key, tensor);
  for (const auto& [key, tensor] : network.merged()) add("merged." + key, tensor);
  for (const auto& [key, tensor] : network.trainable()) add("gradient." + key, tensor.grad());
  write_safetensors(folder / "logits.safetensors", out);
}

AdapterSpec attention_spec(void (*set)(AdapterConfig&)) {
  AdapterSpec spec;
  spec.config.r = 2;
  spec.config.lora_alpha = 3;
  spec.config.target_modules = std::vector<std::string>{"self_attention"};
  set(spec.config);
  return spec;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return std::fprintf(stderr, "usage: transformer_networks FOLDER\n"), 2;
  write_network(argv[1], "timm", small_vit());
  write_network(argv[1], "transformers", transformers_vit());
  write_network(argv[1], "torch", encoder());
  write_deep_adapter(argv[1]);
  const std::filesystem::path folder = argv[1];
  write_adapter(folder / "attention", attention_spec([](AdapterConfig&) {}));
  write_adapter(folder / "attention and mlp, its biases", attention_spec([](AdapterConfig& c) {
                  c.target_modules = std::vector<std::string>{"self_attention", "mlp.0"};
                  c.bias = TrainedBias::kLoraOnly;
                  c.rank_pattern = {{"encoder_layer_1.self_attention", 3}};
                }));
  write_adapter(folder / "all biases, rsLoRA", attention_spec([](AdapterConfig& c) {
                  c.bias = TrainedBias::kAll;
                  c.use_rslora = true;
                }));
  write_adapter(folder / "PiSSA", attention_spec([](AdapterConfig& c) { c.init_lora_weights = LoraStart::kPissa; }));
  write_adapter(folder / "all-linear",
                attention_spec([](AdapterConfig& c) { c.target_modules = std::string("all-linear"); }));
  return 0;
}
