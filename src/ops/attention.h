// Attention between tokens.
#pragma once

#include "ops/operation.h"

namespace lorikeet {

/// Multi-head scaled dot product attention (Vaswani et al., 2017, arXiv:1706.03762) without its projections, which are
/// separate Linear nodes that can be adapted. Inputs are either queries, keys and values, each (N, …, tokens,
/// features), as in transformers, or one tensor (N, …, tokens, 3 · features) that contains all three, as from timm's
/// `qkv` and the `in_proj` of torch.nn.MultiheadAttention. Output: (N, …, query tokens, features). Further axes before
/// the tokens separate groups of them, which do not see each other.
struct Attention {
  std::int64_t features = 0;
  std::int64_t heads = 1;

  static constexpr const char* kName = "Attention";
  static constexpr OpKind kKind = OpKind::kOther;
  static constexpr bool kFloat32Parameters = false;
  static bool takes(std::size_t inputs) { return inputs == 1 || inputs == 3; }
  std::string arguments() const;
  static std::vector<OpParameter> parameters() { return {}; }
  Shape output_shape(c10::ArrayRef<Shape> inputs, const std::string&) const;
  /// Multiply-adds of queries · keys and weights · values.
  std::int64_t macs(const OpShapes& shapes) const;
  std::uint64_t kept_bytes(const OpShapes& shapes, const GradientOptions& gradient) const;
  at::Tensor forward(const NodeTensors& tensors, at::TensorList x) const;
};

/// Of a value (…, tokens, features).
inline std::int64_t token_count(const Shape& value) { return value[value.size() - 2]; }

}  // namespace lorikeet
