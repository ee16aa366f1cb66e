// OFT (Qiu et al., 2023, arXiv:2306.07280), with PEFT's tensors: the columns of the weight, a matrix (out, in / groups
// · kh · kw), are rotated in blocks of b: W' = W·Rᵀ, R = diag(R₁ … Rₙ). `oft_R.weight` (n, b·(b − 1) / 2), or one row
// with block_share, is the upper triangle of each block's skew-symmetric Q, and R its Cayley transform:
//   exact            R = (I − Q)·(I + Q)⁻¹
//   Cayley-Neumann   R = I + 2Q + 2Q² + … + Qᵏ, k = terms − 1, which approximates (I + Q)·(I − Q)⁻¹
// Q is 0 at the start. A block size that does not divide the columns is replaced by the nearest that does, as in PEFT.
//
// On kernels larger than 1×1 PEFT rotates the input's patches and adds up where they overlap, so that its layer is not
// the identity at the start and computes something else than its own merged weight. Here the layer is the merged one.
// Of a grouped convolution no block reaches across groups.
#pragma once

#include <ATen/core/Generator.h>

#include <memory>
#include <vector>

#include "adapters/adapter_config.h"
#include "adapters/layer_adapter.h"
#include "adapters/matching.h"

namespace lorikeet {

/// Throws UsageError, naming the node, where the blocks are of one number.
std::vector<AdapterTensor> oft_tensors(const Node& node, const AdapterTarget& target, const AdapterConfig& config);
std::unique_ptr<LayerAdapter> make_oft(const Node& node, const NodeTensors& base, const AdapterTarget& target,
                                       const AdapterConfig& config, at::Generator& generator);

/// PEFT's replacement for a block size, or a number of blocks, that does not divide the columns: the nearest divisor.
std::int64_t nearest_divisor(std::int64_t columns, std::int64_t wanted);

/// Whether PEFT's layer computes the same as its merged weight: not on kernels larger than 1×1.
bool is_same_in_peft_oft(const Op& op);

}  // namespace lorikeet
