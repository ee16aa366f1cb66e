// A frozen convolution in int8: uint8 activations, weights with one scale per channel, packed once. Thread-safe.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "graph/graph.h"
#include "kernels/onednn.h"
#include "kernels/packings.h"

namespace lorikeet {

class FrozenInt8Conv {
 public:
  /// weight: (out, in / groups, kh, kw), multiplied by scale: (out,), both float32. `x` is the quantization of the
  /// inputs.
  FrozenInt8Conv(const Conv2d& conv, at::Tensor weight, at::Tensor scale, const Quantization& x);
  FrozenInt8Conv(const FrozenInt8Conv&) = delete;
  FrozenInt8Conv& operator=(const FrozenInt8Conv&) = delete;

  /// x (N, in, H, W) uint8, channels-last → uint8 in the output's quantization, as computed by Int8Conv.
  at::Tensor operator()(const at::Tensor& x, const Int8Conv::Output& y) const;
  /// The same without bias → float32 or bfloat16.
  at::Tensor operator()(const at::Tensor& x, at::ScalarType type) const;

  /// The rounding error of the weight, with the weight's shape.
  at::Tensor rounding_error() const { return int8_rounding_error(weight()); }
  /// Bytes of the packed weights.
  std::uint64_t bytes() const { return packings_.bytes(); }

 private:
  struct Prepared;

  at::Tensor weight() const;
  Prepared prepared(const at::Tensor& x) const;

  Conv2d conv_;
  at::Tensor weight_;
  at::Tensor scale_;
  Quantization x_;
  Int8Conv int8_;
  Packings packings_;
};

}  // namespace lorikeet
