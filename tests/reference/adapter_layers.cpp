// Writes one safetensors file for each method on each kind of layer, for tests/reference/methods_test.py to do the same
// in PEFT: the layer's tensors, an input, the adapter's tensors as if trained, the outputs before and after, the merged
// tensors; the layer and PEFT's configuration as JSON in the file's metadata.
//
//   adapter_layers FOLDER
#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "adapters/layers.h"
#include "adapters/lora.h"
#include "adapters/methods.h"
#include "adapters/peft_support.h"
#include "io/safetensors.h"
#include "lorikeet/error.h"

using namespace lorikeet;

namespace {

// Of one method, those that compute in different ways. Rank 4: PEFT asks for a multiple of the groups.
std::vector<AdapterConfig> configs_of(const Method& method) {
  AdapterConfig plain;
  plain.peft_type = method.peft_type;
  plain.use_dora = method.use_dora;
  plain.target_modules = std::vector<std::string>{"layer"};
  plain.r = 4;
  plain.lora_alpha = 6;
  plain.oft.block_size = 2;
  plain.boft = {.block_size = 0, .block_num = 1};
  plain.fourierft.n_frequency = plain.r;  // as the target's
  std::vector<AdapterConfig> out{plain};
  const auto add = [&](const auto& set) {
    out.push_back(plain);
    set(out.back());
  };
  if (method.peft_type == PeftType::kLoha) add([](AdapterConfig& c) { c.use_effective_conv2d = true; });
  if (method.peft_type == PeftType::kLokr)
    add([](AdapterConfig& c) { c.r = 1, c.use_effective_conv2d = true; });  // w2 is a product then
  if (method.peft_type == PeftType::kIa3)
    add([](AdapterConfig& c) { c.feedforward_modules = std::vector<std::string>{"layer"}; });
  if (method.peft_type == PeftType::kOft) {
    add([](AdapterConfig& c) { c.oft.block_size = 0, c.r = 2, c.oft.use_cayley_neumann = false; });
    add([](AdapterConfig& c) { c.oft.block_size = 3, c.oft.block_share = true; });
    add([](AdapterConfig& c) { c.oft.block_size = 3, c.oft.coft = true, c.oft.eps = 0.3; });
    for (const std::int64_t terms : {2, 3, 4, 6})
      add([&](AdapterConfig& c) { c.oft.num_cayley_neumann_terms = terms; });
  }
  if (method.peft_type == PeftType::kBoft) {
    add([](AdapterConfig& c) { c.boft.block_size = 2, c.boft.block_num = 0; });
    add([](AdapterConfig& c) { c.boft = {.block_size = 2, .n_butterfly_factor = 2}; });
  }
  if (method.peft_type == PeftType::kVera)
    add([](AdapterConfig& c) { c.vera = {.projection_prng_key = 5, .save_projection = true}; });
  if (method.peft_type == PeftType::kUniLora)
    add([](AdapterConfig& c) { c.unilora = {.theta_d_length = 100, .proj_seed = 5, .save_indices = true}; });
  if (method.peft_type == PeftType::kFourierFt)
    add([](AdapterConfig& c) { c.fourierft = {.n_frequency = c.r = 11, .scaling = 40, .random_loc_seed = 4}; });
  return out;
}

// Whether BOFT's and OFT's blocks divide the layer's filters.
bool fits(const AdapterConfig& config, const Op& op) {
  const BoftOptions& boft = config.boft;
  const bool is_oft = config.peft_type == PeftType::kOft;
  if (!is_oft && config.peft_type != PeftType::kBoft) return true;
  const std::int64_t columns = tensors_for(op).weight()[0].numel();
  if (is_oft) return columns % 2 == 0 || config.oft.block_size == 3;
  return boft.block_size == 0 || columns % (boft.block_size << (boft.n_butterfly_factor - 1)) == 0;
}

Json layer_json(const Op& op) {
  if (const auto* norm = std::get_if<BatchNorm2d>(&op)) return {{"kind", "BatchNorm2d"}, {"features", norm->features}};
  if (const auto* norm = std::get_if<LayerNorm>(&op)) return {{"kind", "LayerNorm"}, {"features", norm->features}};
  if (const auto* linear = std::get_if<Linear>(&op))
    return {{"kind", "Linear"}, {"in", linear->in}, {"out", linear->out}};
  const auto& conv = std::get<Conv2d>(op);
  return {{"kind", "Conv2d"},          {"in", conv.in},         {"out", conv.out},
          {"kernel", conv.kernel},     {"stride", conv.stride}, {"padding", conv.padding},
          {"dilation", conv.dilation}, {"groups", conv.groups}, {"bias", conv.bias}};
}

void write_layer(const std::filesystem::path& file, const Method& method, const AdapterConfig& config,
                 const Layer& layer) {
  const Node node{"layer", layer.op, {0}};
  NodeTensors base = tensors_for(layer.op);
  for (auto& [name, tensor] : base) tensor = tensor.to(at::kFloat);
  const at::Tensor x = input_for(layer).to(at::kFloat);
  at::Generator generator = seeded(1);
  const AdapterTarget target{1, config.r, config.lora_alpha / static_cast<double>(config.r)};
  const auto adapter = started(node, base, target, config, generator);

  NamedTensors out;
  const auto add = [&](const std::string& name, const at::Tensor& tensor) {
    if (tensor.defined()) out.add(name, tensor.contiguous());
  };
  add("start.output", adapter->forward(layer.op, base, x, false));
  std::uint64_t seed = 3;
  for (const auto& part : adapter->parts()) {
    const at::Tensor changed = *part.tensor + 0.3 * noise(part.tensor->sizes(), seed++).to(at::kFloat);
    // LoRA's A of a grouped convolution: what training leaves at zero stays.
    if (part.learned)
      part.tensor->copy_(config.peft_type == PeftType::kLora && part.suffix == "lora_A.weight"
                             ? at::where(*part.tensor == 0, *part.tensor, changed)
                             : changed);
  }
  adapter->loaded();
  add("input", x);
  for (const auto& [name, tensor] : base) add("base." + name, tensor);
  for (const auto& [suffix, tensor] : adapter->saved()) add("adapter." + suffix, tensor);
  add("plain.output", apply(layer.op, base, x));
  add("output", adapter->forward(layer.op, base, x, false));
  const NodeTensors merged = adapter->merged(node, base);
  add("merged.output", apply(layer.op, merged, x));
  out.metadata = {{"method", method.name},
                  {"kind", layer.kind},
                  {"layer", layer_json(layer.op).dump()},
                  {"config", adapter_config_json(config).dump()},
                  {"peft_obstacle", peft_obstacle(layer.op, config, config.r, layer.kind == "Linear on (N, H, W, C)")}};
  write_safetensors(file, out);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return std::fprintf(stderr, "usage: adapter_layers FOLDER\n"), 2;
  std::vector<Layer> layers = weighted_layers();
  std::erase_if(layers, [](const Layer& layer) {
    return layer.kind == "uneven padding";
  });  // TensorFlow's; PyTorch has no such layer
  for (const Layer& layer : normalising_layers()) layers.push_back(layer);
  int count = 0;
  for (const Method& method : methods()) {
    for (const AdapterConfig& config : configs_of(method)) {
      for (const Layer& layer : layers) {
        if (!method.adapts(layer.op) || !fits(config, layer.op)) continue;
        write_layer(std::filesystem::path(argv[1]) / (std::to_string(count++) + ".safetensors"), method, config, layer);
      }
    }
  }
  return 0;
}
