// Factorises a change of weights into LoRA's two matrices: the best approximation of a given rank (Eckart and Young),
// or the exact one of smallest rank.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "graph/graph.h"

namespace lorikeet {

struct Factors {
  /// In the layer's shapes of lora_A and lora_B, with scale 1.
  at::Tensor lora_A;
  at::Tensor lora_B;
  /// ‖ΔW − B·A‖ / ‖ΔW‖.
  double error = 0;

  std::int64_t rank() const { return lora_A.size(0); }
};

/// `delta` has the shape of the layer's weight. `rank` 0: the smallest rank within float32 rounding. A grouped
/// convolution is treated as one matrix (out, in / groups · kh · kw). A row of zeros is added if its rank would be a
/// multiple of the groups, which would change its meaning.
Factors factorise(const at::Tensor& delta, const Op& op, std::int64_t rank);

}  // namespace lorikeet
