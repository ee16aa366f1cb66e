#include "adapters/explicit_lora.h"

#include <algorithm>

namespace lorikeet {
namespace {

std::string escaped(const std::string& name) {
  std::string out;
  for (const char c : name) out += c == '.' ? std::string("\\.") : std::string(1, c);
  return out;
}

}  // namespace

void put_layers(const std::vector<ExplicitLayer>& layers, AdapterFolder& folder) {
  AdapterConfig& config = folder.spec.config;
  config.peft_type = PeftType::kLora;
  config.r = 1;
  // A pattern counts for every name that ends like it, and the first that matches counts: longer names come first.
  std::vector<const ExplicitLayer*> ordered;
  for (const auto& layer : layers) ordered.push_back(&layer);
  std::stable_sort(ordered.begin(), ordered.end(),
                   [](const auto* a, const auto* b) { return a->name.size() > b->name.size(); });
  std::string pattern;
  for (const ExplicitLayer* layer : ordered) {
    const std::int64_t rank = layer->factors.rank();
    const std::string name = escaped(layer->name);
    config.r = std::max(config.r, rank);
    pattern += (pattern.empty() ? "" : "|") + name;
    config.rank_pattern.emplace_back(name, static_cast<double>(rank));
    config.alpha_pattern.emplace_back(name, static_cast<double>(rank));
  }
  config.lora_alpha = static_cast<double>(config.r);
  if (!layers.empty()) config.target_modules = pattern;
  for (const auto& layer : layers) {
    folder.tensors.add(layer.name + ".lora_A.weight", layer.factors.lora_A);
    folder.tensors.add(layer.name + ".lora_B.weight", layer.factors.lora_B);
  }
}

}  // namespace lorikeet
