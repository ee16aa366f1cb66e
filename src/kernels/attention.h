// Attention in float32 on the CPU (kernels/head_attention.h), differentiable. For the gradient it keeps its inputs
// alone, where ATen's fused attention also keeps its output.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>

#include "graph/graph.h"

namespace lorikeet {

/// Whether attention() can run these inputs; Attention::forward runs any.
bool has_attention(const Attention& op, at::TensorList x);

/// What Attention::forward computes of the same inputs: one, (N, …, tokens, 3 · features), or three, (N, …, tokens,
/// features). Where `query` is given, for that token alone: (N, …, 1, features). REQUIRES: has_attention().
at::Tensor attention(const Attention& op, at::TensorList x, std::optional<std::int64_t> query);

}  // namespace lorikeet
