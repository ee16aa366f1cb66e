#include "ops/tokens.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include "base/error.h"

namespace lorikeet {

at::Tensor PixelsToTokens::forward(const NodeTensors&, at::TensorList x) {
  return x[0].flatten(2).transpose(1, 2).contiguous();
}

std::string PrependTokens::arguments() const { return cat("(", count, ", ", features, ")"); }

at::Tensor PrependTokens::forward(const NodeTensors& tensors, at::TensorList x) const {
  return at::cat({tensors[""].expand({x[0].size(0), count, features}), x[0]}, 1);
}

std::string PositionEmbedding::arguments() const { return cat("(", tokens, ", ", features, ")"); }

Shape PositionEmbedding::output_shape(c10::ArrayRef<Shape> inputs, const std::string& where) const {
  if (inputs[0][0] != tokens) {
    fail_usage("image size: got ", inputs[0][0], " tokens at ", where, ", expected ", tokens,
               ". Use images of the size that the network was made for.");
  }
  return inputs[0];
}

at::Tensor PositionEmbedding::forward(const NodeTensors& own, at::TensorList x) { return x[0] + own[""]; }

std::string TakeToken::arguments() const { return cat("(", index, ")"); }

at::Tensor TakeToken::forward(const NodeTensors&, at::TensorList x) const { return x[0].select(1, index).contiguous(); }

}  // namespace lorikeet
