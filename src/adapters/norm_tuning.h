// Norm tuning (Zhao et al., 2023, arXiv:2312.11420; PEFT's LN_TUNING): weight and bias of normalisation layers are
// trained, starting from the base's. The statistics of BatchNorm stay unchanged, but PEFT saves them too.
#pragma once

#include <ATen/core/Generator.h>

#include <memory>
#include <vector>

#include "adapters/adapter_config.h"
#include "adapters/layer_adapter.h"
#include "adapters/matching.h"

namespace lorikeet {

std::vector<AdapterTensor> norm_tensors(const Node& node, const AdapterTarget& target, const AdapterConfig& config);
std::unique_ptr<LayerAdapter> make_norm(const Node& node, const NodeTensors& base, const AdapterTarget& target,
                                        const AdapterConfig& config, at::Generator& generator);

}  // namespace lorikeet
