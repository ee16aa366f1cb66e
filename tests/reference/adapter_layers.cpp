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
#include "io/safetensors.h"
#include "lorikeet/error.h"

using namespace lorikeet;

namespace {

// Rank 4: PEFT asks for a multiple of the groups.
AdapterConfig config_of(const Method& method, bool alternative) {
  AdapterConfig out;
  out.peft_type = method.peft_type;
  out.use_dora = method.use_dora;
  out.target_modules = std::vector<std::string>{"layer"};
  out.r = 4;
  out.lora_alpha = 6;
  if (alternative && method.peft_type == PeftType::kLokr) out.r = 1;  // w2 is a product then
  if (alternative) out.use_effective_conv2d = true;
  if (alternative && method.peft_type == PeftType::kIa3) out.feedforward_modules = std::vector<std::string>{"layer"};
  return out;
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
  const auto adapter = method.start(node, base, target, config, generator);

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
                  {"config", adapter_config_json(config).dump()}};
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
    for (const bool alternative : {false, true}) {
      if (alternative && (method.peft_type == PeftType::kLora || method.peft_type == PeftType::kLnTuning)) continue;
      for (const Layer& layer : layers) {
        if (!method.adapts(layer.op)) continue;
        write_layer(std::filesystem::path(argv[1]) / (std::to_string(count++) + ".safetensors"), method,
                    config_of(method, alternative), layer);
      }
    }
  }
  return 0;
}
