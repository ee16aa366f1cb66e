// The table of methods: how an adapter of each method changes a layer. To add a method, write its file and add a line
// here.
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
  /// The layers it applies to, in words, and the test for them.
  const char* layers;
  bool (*adapts)(const Op& op);
  /// Name and shape of each tensor of one layer.
  std::vector<AdapterTensor> (*tensors)(const Node& node, const AdapterTarget& target, const AdapterConfig& config);
  /// Creates the initial adapter of one layer, which leaves the layer's output unchanged. `base` are the node's own
  /// tensors.
  std::unique_ptr<LayerAdapter> (*start)(const Node& node, const NodeTensors& base, const AdapterTarget& target,
                                         const AdapterConfig& config, at::Generator& generator);
};

const std::vector<Method>& methods();
const Method& method_of(const AdapterConfig& config);

/// Returns a summary for display: "LoRA, r=8, lora_alpha=16".
std::string summary(const AdapterConfig& config);

}  // namespace lorikeet
