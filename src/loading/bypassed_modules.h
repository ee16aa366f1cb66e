// Modules whose weights a library's model reads without calling the modules, so that PEFT's layers around them have no
// effect until they are merged.
#pragma once

#include <string>
#include <vector>

#include "adapters/matching.h"
#include "models/model_entry.h"

namespace lorikeet {

/// Those of `targets`, by name, in graph order: `qkv` and `proj` of torchvision's Swin Transformers, which pass their
/// weights to torchvision.models.swin_transformer.shifted_window_attention(). Empty for other models.
std::vector<std::string> bypassed_modules(const ModelEntry& entry, const Graph& graph,
                                          const std::vector<AdapterTarget>& targets);

}  // namespace lorikeet
