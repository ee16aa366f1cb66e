// Attention of one head in float32, forward and backward, for a few hundred tokens, as vision transformers have them.
// All scores of a head fit in the second-level cache, so each product is one small matrix product, softmax is exact,
// and the backward pass needs neither the output nor its sums: only what went in.
#pragma once

#include <cstdint>

namespace lorikeet {

/// Rows of one head: row i begins at data + i · stride and has `width` floats.
struct HeadRows {
  const float* data = nullptr;
  std::int64_t stride = 0;
};
struct MutableHeadRows {
  float* data = nullptr;  // null: not wanted
  std::int64_t stride = 0;
};

struct AttentionHead {
  HeadRows q, k, v;
  std::int64_t queries = 0;
  std::int64_t keys = 0;
  std::int64_t width = 0;
};

/// Whether this processor and these sizes are supported (AVX2 with FMA; width a multiple of 16; at most 1024 keys).
bool has_head_attention(std::int64_t width, std::int64_t keys);

/// Floats of scratch memory that the two functions need.
std::int64_t head_scratch(const AttentionHead& head);

/// out = softmax(q · kᵀ / √width) · v.
void head_forward(const AttentionHead& head, const MutableHeadRows& out, float* scratch);

struct HeadGradients {
  MutableHeadRows q, k, v;
};
/// The gradients to what went in, from the output's.
void head_backward(const AttentionHead& head, const HeadRows& out_gradient, const HeadGradients& gradients,
                   float* scratch);

}  // namespace lorikeet
