#include "ops/attention.h"

#include <ATen/Functions.h>

#include "base/error.h"

namespace lorikeet {
namespace {

// (N, tokens, features) → (N, heads, tokens, features / heads), a view.
at::Tensor split_heads(const at::Tensor& x, std::int64_t heads) { return x.unflatten(-1, {heads, -1}).transpose(1, 2); }

}  // namespace

std::string Attention::arguments() const { return cat("(", features, ", heads=", heads, ")"); }

Shape Attention::output_shape(c10::ArrayRef<Shape> inputs, const std::string&) const {
  Shape shape = inputs[0];
  shape.back() = features;
  return shape;
}

std::int64_t Attention::macs(const OpShapes& shapes) const {
  return 2 * static_cast<std::int64_t>(element_count(shapes.output)) * token_count(shapes.inputs.back());
}

std::uint64_t Attention::kept_bytes(const OpShapes& shapes, const GradientOptions& gradient) const {
  const std::uint64_t output = element_count(shapes.output);
  std::uint64_t elements = output;
  for (const Shape& input : shapes.inputs) elements += element_count(input);
  // The log-sum-exp of each row of scores, float32.
  const std::uint64_t sums = output / static_cast<std::uint64_t>(features) * static_cast<std::uint64_t>(heads);
  return elements * gradient.element_size + sums * sizeof(float);
}

at::Tensor Attention::forward(const NodeTensors&, at::TensorList x) const {
  const std::vector<at::Tensor> qkv = x.size() == 1 ? x[0].chunk(3, -1) : x.vec();
  const auto heads_of = [&](const at::Tensor& part) { return split_heads(part.flatten(0, -3), heads); };
  const at::Tensor y = at::scaled_dot_product_attention(heads_of(qkv[0]), heads_of(qkv[1]), heads_of(qkv[2]));
  return y.transpose(1, 2).reshape(qkv[0].sizes());
}

}  // namespace lorikeet
