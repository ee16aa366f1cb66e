// HiRA (Huang et al., 2025, ICLR, openreview.net/forum?id=TwJrTz9cRS), with PEFT's tensors: W' = W ⊙ (1 + B·A), A
// `hira_A` (r, in, kh, kw) and B `hira_B` (out, r, 1, 1), or (r, in) and (out, r) of a Linear: a low-rank factor for
// each number of the weight, so that the change has the weight's own rank. There is no scale.
// PEFT gives a grouped convolution's A all channels, which then fails; here it is (r, in / groups, kh, kw).
#pragma once

#include <ATen/core/Generator.h>

#include <memory>
#include <vector>

#include "adapters/adapter_config.h"
#include "adapters/layer_adapter.h"
#include "adapters/matching.h"

namespace lorikeet {

std::vector<AdapterTensor> hira_tensors(const Node& node, const AdapterTarget& target, const AdapterConfig& config);
std::unique_ptr<LayerAdapter> make_hira(const Node& node, const NodeTensors& base, const AdapterTarget& target,
                                        const AdapterConfig& config, at::Generator& generator);

}  // namespace lorikeet
