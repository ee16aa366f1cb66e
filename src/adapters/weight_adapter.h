// What methods share that replace the layer's weight: y = W'∗x + b.
#pragma once

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cstdint>

#include "adapters/layer_adapter.h"

namespace lorikeet {

class WeightAdapter : public LayerAdapter {
 public:
  at::Tensor forward(const Op& op, const NodeTensors& base, const at::Tensor& x, bool training) const override;
  NodeTensors merged(const Node& node, const NodeTensors& base) const override;

 protected:
  /// W' for the layer's weight W, in W's shape and any element type. Dropout acts only where `training`.
  virtual at::Tensor adapted(const at::Tensor& weight, bool training) const = 0;
};

/// A weight as a method sees it: (out, in / groups, kh, kw); kernel (1, 1) of a Linear.
struct WeightShape {
  std::int64_t out = 0, in = 0;
  Pair kernel{1, 1};
  std::int64_t groups = 1;

  bool is_pointwise() const { return kernel == Pair{1, 1}; }
  /// Of the weight as a matrix (out, in / groups · kh · kw).
  std::int64_t columns() const { return in * kernel[0] * kernel[1]; }
  /// The greatest rank that the matrix can have.
  std::int64_t greatest_rank() const { return std::min(out, columns()); }
};
WeightShape weight_shape(const Op& op);

}  // namespace lorikeet
