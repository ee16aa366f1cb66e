// LoKr (Yeh et al., 2023, arXiv:2309.14859, LyCORIS), with PEFT's tensors: ΔW = s · w1 ⊗ w2, with out = out₁·out₂ and
// in / groups = in₁·in₂; w1 (out₁, in₁), w2 (out₂, in₂, kh, kw). If the rank is small enough, w2, and with
// decompose_both also w1, are products of rank r: w_a·w_b or, with use_effective_conv2d, a core t2 between w2_a and
// w2_b.
#pragma once

#include <ATen/core/Generator.h>

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "adapters/adapter_config.h"
#include "adapters/layer_adapter.h"
#include "adapters/matching.h"

namespace lorikeet {

std::vector<AdapterTensor> lokr_tensors(const Node& node, const AdapterTarget& target, const AdapterConfig& config);
std::unique_ptr<LayerAdapter> make_lokr(const Node& node, const NodeTensors& base, const AdapterTarget& target,
                                        const AdapterConfig& config, at::Generator& generator);

/// PEFT's factorisation of a dimension, the smaller factor first: near `factor`, or near the square root for −1.
std::pair<std::int64_t, std::int64_t> lokr_factors(std::int64_t dimension, std::int64_t factor);

}  // namespace lorikeet
