// oneDNN's convolution with weights packed beforehand, by ATen's operators in the mkldnn namespace, which have no C++
// header.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

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

/// Packs weight (out, in / groups, kh, kw), of any strides, for inputs of this shape, (N, C, H, W); opaque. REQUIRES:
/// can_pack(its options).
at::Tensor pack_weight(const at::Tensor& weight, const ConvGeometry& geometry, at::IntArrayRef input);

/// x (N, C, H, W), channels-last, convolved with a packed weight. The result depends on the shape of x, not on the
/// shape that the weight was packed for. Where oneDNN wants another layout for x, it packs anew at every call, ten
/// times slower than the convolution.
at::Tensor packed_conv(const at::Tensor& x, const at::Tensor& packed, const ConvGeometry& geometry);
/// With what follows, in the same pass over the output where oneDNN can.
at::Tensor packed_conv(const at::Tensor& x, const at::Tensor& packed, const ConvGeometry& geometry,
                       const Epilogue& after);

/// All that decides the layout of a packed weight, but for the number of threads.
std::vector<std::int64_t> layout_shape(at::IntArrayRef weight, at::ScalarType type, const ConvGeometry& geometry,
                                       at::IntArrayRef input);
/// The layout of a packed weight: equal strings, equal layouts.
std::string packed_layout(const at::Tensor& packed);
std::uint64_t packed_bytes(const at::Tensor& packed);

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

/// A convolution of uint8 by int8 weights, one scale a channel; channels-last, on the CPU. It holds the scales; the
/// packed weight is the caller's.
class Int8Conv {
 public:
  /// weight float32 (out, in / groups, kh, kw); for inputs of this quantization.
  Int8Conv(const at::Tensor& weight, const Quantization& x);

  /// The same weight, packed for inputs of this shape; opaque.
  at::Tensor pack(const at::Tensor& weight, const ConvGeometry& geometry, at::IntArrayRef input) const;

  struct Sum {
    at::Tensor stored;  // uint8, like the output
    Quantization quantization;
  };
  struct Output {
    at::Tensor bias;  // float32 (out,)
    Sum residual;     // residual.stored may be undefined
    bool relu = false;
    Quantization quantization;
  };
  /// x uint8 → clamp(conv(x) + bias + residual) as uint8 of the output's quantization. Bounds of the clamp other than 0
  /// below are those of that quantization.
  at::Tensor operator()(const at::Tensor& x, const at::Tensor& packed, const ConvGeometry& geometry,
                        const Output& y) const;

 private:
  Quantization x_;
  at::Tensor scales_;  // (out,)
  at::Tensor zeros_;   // (out,)
};

}  // namespace lorikeet
