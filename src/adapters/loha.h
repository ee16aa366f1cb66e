// LoHa (Hyeon-Woo et al., 2021, arXiv:2108.06098, FedPara), with PEFT's tensors: ΔW = s · (w1_a·w1_b) ⊙ (w2_a·w2_b),
// each product of rank r, so that ΔW has rank up to r². For a convolution, ΔW is a matrix (out, in / groups · kh · kw)
// or, with use_effective_conv2d, each factor is a core t (r, r, kh, kw) between a (r, out) and b (r, in / groups).
#pragma once

#include <ATen/core/Generator.h>

#include <memory>
#include <vector>

#include "adapters/adapter_config.h"
#include "adapters/layer_adapter.h"
#include "adapters/matching.h"

namespace lorikeet {

std::vector<AdapterTensor> loha_tensors(const Node& node, const AdapterTarget& target, const AdapterConfig& config);
std::unique_ptr<LayerAdapter> make_loha(const Node& node, const NodeTensors& base, const AdapterTarget& target,
                                        const AdapterConfig& config, at::Generator& generator);

}  // namespace lorikeet
