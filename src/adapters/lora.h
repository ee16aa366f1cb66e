// LoRA (Hu et al., 2021, arXiv:2106.09685) on Linear and Conv2d, with PEFT's tensors and arithmetic:
//   Linear: y += s · B(A(dropout x)),  A (r, in),         B (out, r)
//   Conv2d: the same with convolutions, A (r, in, kh, kw) with the layer's stride, padding and dilation,
//           B (out, r / groups, 1, 1) with the layer's groups.
#pragma once

#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "adapters/lora_config.h"
#include "adapters/matching.h"
#include "graph/graph.h"

namespace lorikeet {

struct LoraLayer {
  at::Tensor lora_A;
  at::Tensor lora_B;
  double scaling = 1;
  double dropout = 0;
};

/// The shapes of lora_A and lora_B. Throws UsageError where the rank is not a multiple of a convolution's groups.
struct LoraShapes {
  std::vector<std::int64_t> lora_A;
  std::vector<std::int64_t> lora_B;
};
LoraShapes lora_shapes(const Node& node, std::int64_t rank);

/// New matrices: B zero, so that the network computes what it computed before.
LoraLayer start_lora(const Node& node, const LoraTarget& target, const LoraConfig& config, at::Generator& generator);

/// What the layer adds to the node's output for input x. Dropout acts only where `training`.
at::Tensor lora_forward(const LoraLayer& layer, const Op& op, const at::Tensor& x, bool training);

/// The first half of that, A(dropout x), in x's element type: what the rest of the arithmetic starts from.
at::Tensor lora_down(const LoraLayer& layer, const Op& op, const at::Tensor& x, bool training);

/// ΔW in the shape of the node's weight. Throws Error for grouped convolutions, whose ΔW is not grouped.
at::Tensor lora_delta_weight(const LoraLayer& layer, const Node& node);

}  // namespace lorikeet
