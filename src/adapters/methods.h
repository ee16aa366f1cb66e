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

/// The layers that an adapter changes, in graph order.
struct AdaptedLayers {
  const Graph& graph;
  const std::vector<AdapterTarget>& targets;
};

/// The layers in the order in which the library registers its modules, as places in `layers.targets`.
std::vector<std::size_t> registration_order(const AdaptedLayers& layers);

struct Method {
  /// "LoRA", "DoRA" …
  const char* name;
  PeftType peft_type;
  bool use_dora;
  /// The layers it applies to, in words, and the test for them.
  const char* layers;
  bool (*adapts)(const Op& op);
  /// Name and shape of each tensor of the adapter. A tensor that layers share is listed once, with the first of them.
  std::vector<Parameter> (*tensors)(const AdaptedLayers& layers, const AdapterConfig& config);
  /// Creates the initial adapters, one for each target, which leave the layers' outputs unchanged. `base` are the
  /// tensors of all nodes, by NodeId.
  std::vector<std::unique_ptr<LayerAdapter>> (*start)(const AdaptedLayers& layers, const std::vector<NodeTensors>& base,
                                                      const AdapterConfig& config, at::Generator& generator);
};

const std::vector<Method>& methods();
const Method& method_of(const AdapterConfig& config);

/// Returns a summary for display: "LoRA, r=8, lora_alpha=16".
std::string summary(const AdapterConfig& config);

}  // namespace lorikeet
