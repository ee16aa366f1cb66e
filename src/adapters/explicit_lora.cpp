#include "adapters/explicit_lora.h"

#include <algorithm>

#include "adapters/matching.h"
#include "adapters/pattern_table.h"

namespace lorikeet {

void put_layers(const std::vector<ExplicitLayer>& layers, const Graph& graph, AdapterFolder& folder) {
  AdapterConfig& config = folder.spec.config;
  config.peft_type = PeftType::kLora;
  config.r = 1;
  // PEFT sorts both tables when it saves an adapter, and the first match applies, so only patterns that match exactly
  // one name are independent of the order.
  std::vector<std::string> names;
  for (const auto& layer : layers) {
    const std::int64_t rank = layer.factors.rank();
    config.r = std::max(config.r, rank);
    names.push_back(layer.name);
    config.rank_pattern.emplace_back(exact_pattern(layer.name), static_cast<double>(rank));
    config.alpha_pattern.emplace_back(exact_pattern(layer.name), static_cast<double>(rank));
  }
  config.lora_alpha = static_cast<double>(config.r);
  if (!layers.empty()) config.target_modules = exact_targets(graph, names);
  for (const auto& layer : layers) {
    folder.tensors.add(layer.name + ".lora_A.weight", layer.factors.lora_A);
    folder.tensors.add(layer.name + ".lora_B.weight", layer.factors.lora_B);
  }
}

}  // namespace lorikeet
