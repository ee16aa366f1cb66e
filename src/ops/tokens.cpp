#include "ops/tokens.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include <cmath>

#include "base/error.h"

namespace lorikeet {
namespace {

// The side of a square of that many patches; 0 if they form none.
std::int64_t side_of(std::int64_t patches) {
  const auto side = static_cast<std::int64_t>(std::lround(std::sqrt(static_cast<double>(patches))));
  return patches > 0 && side * side == patches ? side : 0;
}

}  // namespace

Shape PixelsToTokens::output_shape(c10::ArrayRef<Shape> inputs, const std::string& where) {
  const Shape& image = inputs[0];
  if (image[1] != image[2]) {
    fail_usage("image size: got ", image[1], " x ", image[2], " patches at ", where,
               ", expected a square of patches. Use square images.");
  }
  return {image[1] * image[2], image[0]};
}

at::Tensor PixelsToTokens::forward(const NodeTensors&, at::TensorList x) {
  return x[0].flatten(2).transpose(1, 2).contiguous();
}

std::string PrependTokens::arguments() const { return cat("(", count, ", ", features, ")"); }

at::Tensor PrependTokens::forward(const NodeTensors& tensors, at::TensorList x) const {
  return at::cat({tensors[""].expand({x[0].size(0), count, features}), x[0]}, 1);
}

std::string PositionEmbedding::arguments() const { return cat("(", tokens, ", ", features, ")"); }

Shape PositionEmbedding::output_shape(c10::ArrayRef<Shape> inputs, const std::string& where) const {
  const std::int64_t count = inputs[0][0];
  if (count != tokens && (side_of(count - prefix) == 0 || side_of(tokens - prefix) == 0)) {
    fail_usage("image size: got ", count - prefix, " patches at ", where, ", expected ", tokens - prefix,
               ", or a square of patches. Use square images.");
  }
  return inputs[0];
}

at::Tensor PositionEmbedding::resampled(const at::Tensor& own, std::int64_t count) const {
  if (count == tokens) return own;
  const std::int64_t from = side_of(tokens - prefix), to = side_of(count - prefix);
  const at::ScalarType type = at::promote_types(own.scalar_type(), at::kFloat);  // not in bfloat16
  const at::Tensor grid = own.slice(1, prefix).to(type).unflatten(1, {from, from}).permute({0, 3, 1, 2});
  const at::Tensor resized = antialias ? at::_upsample_bicubic2d_aa(grid, {to, to}, /*align_corners=*/false)
                                       : at::upsample_bicubic2d(grid, {to, to}, /*align_corners=*/false);
  const at::Tensor patches = resized.permute({0, 2, 3, 1}).flatten(1, 2).to(own.scalar_type());
  return prefix == 0 ? patches : at::cat({own.slice(1, 0, prefix), patches}, 1);
}

at::Tensor PositionEmbedding::forward(const NodeTensors& own, at::TensorList x) const {
  return x[0] + resampled(own[""], x[0].size(1));
}

std::string MeanTokens::arguments() const { return cat("(first=", first, ")"); }

at::Tensor MeanTokens::forward(const NodeTensors&, at::TensorList x) const { return x[0].slice(1, first).mean({1}); }

std::string TakeToken::arguments() const { return cat("(", index, ")"); }

at::Tensor TakeToken::forward(const NodeTensors&, at::TensorList x) const { return x[0].select(1, index).contiguous(); }

}  // namespace lorikeet
