// TinyLoRA (Morris et al., 2026, arXiv:2602.04118), with PEFT's tensors and arithmetic: y += B·R·A·x, R = Σ v[i]·P[i].
// A = √Σ·Vᵀ `tinylora_A` (r, columns) and B = U·√Σ `tinylora_B` (out, r) are the leading singular vectors of the weight
// as a matrix (out, in / groups · kh · kw); P `tinylora_P` (u, r, r) is random with variance 1 / r. All three are fixed
// and saved, as PEFT saves them. v `tinylora_v.GROUP` (u,) is learned, by a group of consecutive layers together, in
// the order of the network's modules (`weight_tying`). r is limited to the smaller side of the matrix.
// A new adapter takes A and B from adapters/singular_basis.h, and P from PyTorch's generator (base/torch_random.h) with
// the seed projection_seed + number of the layer, as PEFT does. PEFT supports Linear only.
#pragma once

#include <ATen/core/Generator.h>

#include <memory>
#include <vector>

#include "adapters/methods.h"

namespace lorikeet {

std::vector<Parameter> tinylora_tensors(const AdaptedLayers& layers, const AdapterConfig& config);
std::vector<std::unique_ptr<LayerAdapter>> make_tinylora(const AdaptedLayers& layers,
                                                         const std::vector<NodeTensors>& base,
                                                         const AdapterConfig& config, at::Generator& generator);

}  // namespace lorikeet
