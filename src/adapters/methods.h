// The table of methods: what an adapter of each kind puts on a layer. A new method is a file and a line here.
#pragma once

#include <ATen/core/Generator.h>

#include <memory>
#include <string>
#include <vector>

#include "adapters/adapter_config.h"
#include "adapters/layer_adapter.h"
#include "adapters/matching.h"

namespace lorikeet {

struct Method {
  /// "LoRA", "DoRA" …
  const char* name;
  PeftType peft_type;
  bool use_dora;
  /// What it goes on, in words, and whether an operation is such.
  const char* layers;
  bool (*adapts)(const Op& op);
  /// The tensors of one layer, without making them.
  std::vector<AdapterTensor> (*tensors)(const Node& node, const AdapterTarget& target, const AdapterConfig& config);
  /// The adapter of one layer at its start: the layer computes what it computed before. `base` are the node's own
  /// tensors.
  std::unique_ptr<LayerAdapter> (*start)(const Node& node, const NodeTensors& base, const AdapterTarget& target,
                                         const AdapterConfig& config, at::Generator& generator);
};

const std::vector<Method>& methods();
const Method& method_of(const AdapterConfig& config);

/// For people: "LoRA, r=8, lora_alpha=16".
std::string summary(const AdapterConfig& config);

}  // namespace lorikeet
