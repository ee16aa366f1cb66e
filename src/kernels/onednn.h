// oneDNN's convolution with weights packed beforehand, by ATen's operators in the mkldnn namespace, which have no C++
// header.
#pragma once

#include <ATen/core/Tensor.h>

#include "graph/graph.h"
#include "kernels/epilogue.h"

namespace lorikeet {

struct ConvGeometry {
  Pair stride;
  Pair padding;
  Pair dilation;
  std::int64_t groups = 1;
};

/// Whether oneDNN is there, and runs weights of this type and on this device natively.
bool can_pack(const at::TensorOptions& weight);

/// A convolution, channels-last. REQUIRES: can_pack(its options).
class PackedConv {
 public:
  PackedConv() = default;
  /// Packs weight (out, in / groups, kh, kw), of any strides, for inputs of this shape, (N, C, H, W). Another N is
  /// right, too, but oneDNN may want another layout for it and then packs anew at every call, ten times slower than the
  /// convolution.
  PackedConv(const at::Tensor& weight, const ConvGeometry& geometry, at::IntArrayRef input);

  explicit operator bool() const { return weight_.defined(); }
  /// The convolution alone. REQUIRES: packed.
  at::Tensor operator()(const at::Tensor& x) const;
  /// With what follows, in the same pass over the output where oneDNN can. REQUIRES: packed.
  at::Tensor operator()(const at::Tensor& x, const Epilogue& after) const;

 private:
  at::Tensor weight_;  // opaque
  ConvGeometry geometry_{};
};

/// How real numbers are stored as uint8: real = scale · (stored − zero).
struct Quantization {
  double scale = 1;
  std::int64_t zero = 0;
};

/// Whether oneDNN multiplies int8 natively (VNNI). Without, weights have 7 bits, so that no pair of products
/// overflows 16.
bool has_int8();

/// What Int8Conv takes from a float32 weight by rounding it; of the same shape.
at::Tensor int8_rounding_error(const at::Tensor& weight);

/// A convolution of uint8 by int8 weights, one scale a channel; channels-last, on the CPU.
class Int8Conv {
 public:
  /// weight float32 (out, in / groups, kh, kw); for inputs of this shape and quantization.
  Int8Conv(const at::Tensor& weight, const ConvGeometry& geometry, at::IntArrayRef input, const Quantization& x);

  struct Sum {
    at::Tensor stored;  // uint8, like the output
    Quantization quantization;
  };
  /// x uint8 → clamp(conv(x) + bias + residual) as uint8 of quantization y. Bounds of the clamp other than 0 below are
  /// y's own to have. bias float32 (out,); residual.stored may be undefined.
  at::Tensor operator()(const at::Tensor& x, const at::Tensor& bias, const Sum& residual, bool relu,
                        const Quantization& y) const;

 private:
  ConvGeometry geometry_;
  Quantization x_;
  at::Tensor weight_;  // opaque
  at::Tensor scales_;  // (out,)
  at::Tensor zeros_;   // (out,)
};

}  // namespace lorikeet
