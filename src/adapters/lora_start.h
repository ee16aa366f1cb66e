// How LoRA's matrices are initialised: PEFT's `init_lora_weights`. All work on the weight as a matrix (out, in · kh ·
// kw), so that convolutions have every start that Linear has; of a grouped convolution each group's rows are a matrix
// of their own.
#pragma once

#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>

#include "adapters/adapter_config.h"
#include "adapters/matching.h"

namespace lorikeet {

struct LoraStarts {
  /// (r, weight.numel() / out), a block of r / blocks rows for each block.
  at::Tensor A;
  /// (out, r / blocks).
  at::Tensor B;
  /// Whether their product is not zero and must be taken away from the weight for the network to stay what it was.
  bool is_taken = false;
};

/// `weight` (out, in / groups, kh, kw) or (out, in). REQUIRES: `blocks` divides out and target.rank. Throws UsageError,
/// naming the layer, where the rank is larger than the start can fill, or odd where it must be even.
LoraStarts start_matrices(const std::string& name, const at::Tensor& weight, std::int64_t blocks,
                          const AdapterTarget& target, LoraStart start, at::Generator& generator);

}  // namespace lorikeet
