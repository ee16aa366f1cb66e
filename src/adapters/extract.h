// Extracts an adapter from the difference of two models: the change by full fine-tuning as LoRA of a given rank, with
// the approximation error.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "adapters/adapter_folder.h"
#include "io/named_tensors.h"

namespace lorikeet {

struct ExtractOptions {
  std::int64_t rank = 8;
  /// Layers for LoRA among those that changed. None: every Conv2d and Linear except the output.
  ModulePattern target_modules = {};
};

struct ExtractedLayer {
  std::string name;
  std::int64_t rank = 0;
  /// ‖ΔW − B·A‖ / ‖ΔW‖: the approximation error.
  double error = 0;
  /// ‖ΔW‖ / ‖W‖: the relative change.
  double change = 0;
};

struct Extracted {
  AdapterFolder folder;
  std::vector<ExtractedLayer> layers;
  /// Modules not covered by LoRA, saved completely.
  std::vector<std::string> kept;
};

/// Changed modules outside the targets become modules_to_save. Throws Error if nothing differs. REQUIRES: `base` and
/// `tuned` contain every parameter of the graph, finite and in float32; only the number of outputs may differ.
Extracted extract_lora(const Graph& graph, const NamedTensors& base, const NamedTensors& tuned,
                       const ExtractOptions& options);

}  // namespace lorikeet
