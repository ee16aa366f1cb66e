// Initialisation of LoRA's matrices: PEFT's `init_lora_weights`. All operate on the weight as a matrix (out, in · kh ·
// kw), so convolutions support every initialisation that Linear does. For a grouped convolution, the rows of each group
// form a separate matrix.
#pragma once

#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>

#include "adapters/adapter_config.h"
#include "adapters/matching.h"

namespace lorikeet {

struct LoraStarts {
  /// (r, weight.numel() / out), r / blocks rows for each block.
  at::Tensor A;
  /// (out, r / blocks).
  at::Tensor B;
  /// Whether their product is not zero and must be subtracted from the weight to keep the network's output.
  bool is_taken = false;
};

/// weight: (out, in / groups, kh, kw) or (out, in). REQUIRES: `blocks` divides out and target.rank. Throws UsageError,
/// naming the layer, if the rank exceeds the weight's, or is odd but must be even.
LoraStarts start_matrices(const std::string& name, const at::Tensor& weight, std::int64_t blocks,
                          const AdapterTarget& target, LoraStart start, at::Generator& generator);

}  // namespace lorikeet
