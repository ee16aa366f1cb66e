// A change of weights as LoRA's two matrices: the best of a given rank (Eckart and Young), or the smallest that is
// exact.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "graph/graph.h"

namespace lorikeet {

struct Factors {
  /// In the shapes of lora_A and lora_B for the layer; scale 1.
  at::Tensor lora_A;
  at::Tensor lora_B;
  /// ‖ΔW − B·A‖ / ‖ΔW‖.
  double error = 0;

  std::int64_t rank() const { return lora_A.size(0); }
};

/// `delta` in the shape of the layer's weight. `rank` 0: the smallest within float32's rounding. A convolution with
/// groups is seen as one matrix (out, in / groups · kh · kw), with a row of zeros more where its rank would be a
/// multiple of the groups.
Factors factorise(const at::Tensor& delta, const Op& op, std::int64_t rank);

}  // namespace lorikeet
