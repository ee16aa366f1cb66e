#include "ops/attention.h"

#include <ATen/Functions.h>

#include "base/error.h"

namespace lorikeet {
namespace {

// (N, tokens, features) → (N, heads, tokens, features / heads), a view.
at::Tensor split_heads(const at::Tensor& x, std::int64_t heads) { return x.unflatten(-1, {heads, -1}).transpose(1, 2); }

}  // namespace

std::string Attention::arguments() const { return cat("(", features, ", heads=", heads, ")"); }

std::int64_t Attention::macs(const OpShapes& shapes) const {
  const std::int64_t queries = shapes.inputs.front()[0], keys = shapes.inputs.back()[0];
  return 2 * queries * keys * features;
}

std::uint64_t Attention::kept_bytes(const OpShapes& shapes, const GradientOptions& gradient) const {
  std::uint64_t elements = element_count(shapes.output);
  for (const Shape& input : shapes.inputs) elements += element_count(input);
  const std::int64_t queries = shapes.output[0];
  const auto sums = static_cast<std::uint64_t>(queries * heads);  // log-sum-exp of each row, float32
  return elements * gradient.element_size + sums * sizeof(float);
}

at::Tensor Attention::forward(const NodeTensors&, at::TensorList x) const {
  const std::vector<at::Tensor> qkv = x.size() == 1 ? x[0].chunk(3, -1) : x.vec();
  const at::Tensor y = at::scaled_dot_product_attention(split_heads(qkv[0], heads), split_heads(qkv[1], heads),
                                                        split_heads(qkv[2], heads));
  return y.transpose(1, 2).flatten(2);
}

}  // namespace lorikeet
