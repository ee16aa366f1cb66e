// BOFT (Liu et al., 2024, arXiv:2311.06243), with PEFT's tensors: W' = s ⊙ W·Rᵀ with the weight as a matrix (out, in /
// groups · kh · kw), a scale `boft_s` for each output, (out, 1) or of a Conv2d (1, out), and R a product of m butterfly
// factors, R = Bₘ … B₁, Bᵢ = Pᵢ·diag(blocks of b)·Pᵢᵀ, where Pᵢ is a permutation. `boft_R` (m, n, b, b) holds the
// blocks; of each, S = (X − Xᵀ) / 2 and the block is S's Cayley transform (I − S)·(I + S)⁻¹. With m = 1 the permutation
// is the identity, and the layer is OFT's. Without its CUDA extension PEFT takes m = 1 whatever the configuration says;
// here m is the configuration's.
#pragma once

#include <ATen/core/Generator.h>

#include <memory>
#include <vector>

#include "adapters/adapter_config.h"
#include "adapters/layer_adapter.h"
#include "adapters/matching.h"

namespace lorikeet {

/// Throws UsageError, naming the node, where the blocks do not divide the weight's columns.
std::vector<AdapterTensor> boft_tensors(const Node& node, const AdapterTarget& target, const AdapterConfig& config);
std::unique_ptr<LayerAdapter> make_boft(const Node& node, const NodeTensors& base, const AdapterTarget& target,
                                        const AdapterConfig& config, at::Generator& generator);

}  // namespace lorikeet
