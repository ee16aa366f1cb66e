#include "adapters/extract.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>

#include "adapters/attention.h"
#include "adapters/explicit_lora.h"
#include "adapters/methods.h"
#include "base/error.h"

namespace lorikeet {

Extracted extract_lora(const Graph& graph, const NamedTensors& base, const NamedTensors& tuned,
                       const ExtractOptions& options) {
  const at::NoGradGuard no_grad;
  Extracted out;
  AdapterConfig& config = out.folder.spec.config;  // LoRA's
  const auto adapts = method_of(config).adapts;
  std::vector<ExplicitLayer> layers;
  std::vector<NodeId> kept;
  std::vector<std::pair<std::string, at::Tensor>>
      biases;  // of all layers eligible for LoRA: PEFT's "lora_only" includes all of them
  bool has_changed_bias = false;
  for (NodeId id = 0; id < graph.nodes().size(); ++id) {
    const Node& node = graph.node(id);
    if (!has_parameters(node.op)) continue;
    const bool is_output = id == graph.output();
    // An attention of PyTorch's has one adapter for two layers: kept as a whole.
    const bool is_attention = attention_of_out_proj(graph, id) || out_proj_of_attention(graph, id);
    const bool is_target =
        adapts(node.op) && !is_attention &&
        (std::holds_alternative<std::monostate>(options.target_modules) ? !is_output
                                                                        : matches(options.target_modules, node.name));
    bool has_changed = false;
    at::Tensor delta, bias;
    double norm = 0;
    for (const auto& parameter : graph.parameters(id)) {
      const at::Tensor& now = *tuned.find(parameter.name);
      const at::Tensor& before = *base.find(parameter.name);
      const bool differs = now.sizes() != before.sizes() || !at::equal(now, before);
      has_changed = has_changed || differs;
      if (parameter.key == "bias" && is_target) {
        bias = now;
        has_changed_bias = has_changed_bias || differs;
      } else if (is_target && differs && now.sizes() == before.sizes()) {
        delta = now.to(at::kDouble) - before.to(at::kDouble);
        norm = before.to(at::kDouble).norm().item<double>();
      }
    }
    if (!has_changed) continue;
    if (!delta.defined()) {
      kept.push_back(id);
      continue;
    }
    Factors factors = factorise(delta, node.op, options.rank);
    out.layers.push_back(
        {node.name, factors.rank(), factors.error, delta.norm().item<double>() / std::max(norm, 1e-30)});
    layers.push_back({node.name, std::move(factors)});
    if (bias.defined()) biases.emplace_back(bias_key(node.name, /*has_adapter=*/true), bias);
  }
  if (layers.empty() && kept.empty()) fail("tuned: got the base model itself, expected one that differs from it.");
  for (const NodeId id : kept) config.modules_to_save.push_back(graph.node(id).name);
  // An entry of modules_to_save matches every name with that suffix, and all of these are saved.
  const std::vector<NodeId> retrained = match_modules(graph, config).retrained;
  for (const NodeId id : retrained) {
    const std::string& name = graph.node(id).name;
    out.kept.push_back(name);
    std::erase_if(layers, [&](const ExplicitLayer& layer) { return layer.name == name; });
    std::erase_if(out.layers, [&](const ExtractedLayer& layer) { return layer.name == name; });
    std::erase_if(
        biases, [&](const auto& entry) { return entry.first == bias_key(graph.node(id).name, /*has_adapter=*/true); });
    for (const auto& parameter : graph.parameters(id))
      out.folder.tensors.add(parameter.name, *tuned.find(parameter.name));
  }
  put_layers(layers, graph, out.folder);
  if (has_changed_bias && !biases.empty()) {
    config.bias = TrainedBias::kLoraOnly;
    for (const auto& [key, bias] : biases) out.folder.tensors.add(key, bias);
  }
  const std::string output = graph.node(graph.output()).name + ".weight";
  if (tuned.find(output)->size(0) != base.find(output)->size(0))
    out.folder.spec.output_classes = tuned.find(output)->size(0);
  return out;
}

}  // namespace lorikeet
