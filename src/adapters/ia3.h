// (IA)³ (Liu et al., 2022, arXiv:2205.05638), with PEFT's tensors: a vector l that multiplies the layer's output, bias
// included, or, for feedforward_modules, its input. `ia3_l` is (1, channels, 1, 1) for Conv2d, and (out, 1) or (1, in)
// for Linear.
#pragma once

#include <ATen/core/Generator.h>

#include <memory>
#include <vector>

#include "adapters/adapter_config.h"
#include "adapters/layer_adapter.h"
#include "adapters/matching.h"

namespace lorikeet {

/// Whether the input is scaled. PEFT's rule for feedforward_modules: a string matches the full name; a list entry
/// matches the end of the name, with or without a dot before it.
bool is_feedforward(const std::string& name, const AdapterConfig& config);

std::vector<AdapterTensor> ia3_tensors(const Node& node, const AdapterTarget& target, const AdapterConfig& config);
std::unique_ptr<LayerAdapter> make_ia3(const Node& node, const NodeTensors& base, const AdapterTarget& target,
                                       const AdapterConfig& config, at::Generator& generator);

}  // namespace lorikeet
