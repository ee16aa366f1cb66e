// An adapter from the difference of two models: what full fine-tuning changed, as LoRA of a given rank, with the error
// it costs.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "adapters/adapter_folder.h"
#include "io/named_tensors.h"

namespace lorikeet {

struct ExtractOptions {
  std::int64_t rank = 8;
  /// Where LoRA goes among the layers that changed; nothing: every Conv2d and Linear but the output.
  ModulePattern target_modules = {};
};

struct ExtractedLayer {
  std::string name;
  std::int64_t rank = 0;
  /// ‖ΔW − B·A‖ / ‖ΔW‖: what the rank leaves out of the change.
  double error = 0;
  /// ‖ΔW‖ / ‖W‖: how much it changed.
  double change = 0;
};

struct Extracted {
  AdapterFolder folder;
  std::vector<ExtractedLayer> layers;
  /// Modules that LoRA does not cover, saved in full.
  std::vector<std::string> kept;
};

/// Modules that differ outside the targets become modules_to_save. Throws Error where nothing differs.
/// REQUIRES: `base` and `tuned` hold every parameter of the graph, in float32 and finite; only the output's rows may
/// differ.
Extracted extract_lora(const Graph& graph, const NamedTensors& base, const NamedTensors& tuned,
                       const ExtractOptions& options);

}  // namespace lorikeet
