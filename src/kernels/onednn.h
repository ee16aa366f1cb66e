// oneDNN convolutions with prepacked weights, through ATen's operators in the mkldnn namespace, which have no C++
// header.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "graph/graph.h"
#include "kernels/epilogue.h"
#include "kernels/quantization.h"

namespace lorikeet {

struct ConvGeometry {
  Pair stride;
  Pair padding;
  Pair dilation;
  std::int64_t groups = 1;
};

/// Whether oneDNN is available and natively supports weights of this type and device.
bool can_pack(const at::TensorOptions& weight);

/// Packs weight (out, in / groups, kh, kw), with any strides, for inputs of this shape (N, C, H, W). The result is
/// opaque. REQUIRES: can_pack(weight.options()).
at::Tensor pack_weight(const at::Tensor& weight, const ConvGeometry& geometry, at::IntArrayRef input);

/// Convolves x (N, C, H, W), channels-last, with a packed weight. The result depends on the shape of x, not on the
/// shape the weight was packed for. If oneDNN requires another layout for x, it repacks at every call, which is ten
/// times slower than the convolution.
at::Tensor packed_conv(const at::Tensor& x, const at::Tensor& packed, const ConvGeometry& geometry);
/// The same followed by an epilogue, in one pass over the output if oneDNN supports it.
at::Tensor packed_conv(const at::Tensor& x, const at::Tensor& packed, const ConvGeometry& geometry,
                       const Epilogue& after);
/// The same in the memory of after.residual, which is returned. The bias may be undefined.
at::Tensor packed_conv_(const at::Tensor& x, const at::Tensor& packed, const ConvGeometry& geometry,
                        const Epilogue& after);

/// Everything that determines the layout of a packed weight, except the number of threads.
std::vector<std::int64_t> layout_shape(at::IntArrayRef weight, at::ScalarType type, const ConvGeometry& geometry,
                                       at::IntArrayRef input);
/// An identifier of the layout of a packed weight: equal strings mean equal layouts.
std::string packed_layout(const at::Tensor& packed);
std::uint64_t packed_bytes(const at::Tensor& packed);

/// Whether oneDNN multiplies int8 natively (VNNI). If not, weights have 7 bits, so that no sum of two products
/// overflows 16 bits.
bool has_int8();

/// A matrix of int8 with one scale per row, for products with rows of uint8, on the CPU. It holds the scales. The
/// caller holds the packed matrix.
class Int8Matrix {
 public:
  /// matrix: float32 (out, in).
  explicit Int8Matrix(const at::Tensor& matrix);

  /// The sum of each row as stored, float32 (out,).
  const at::Tensor& sums() const { return sums_; }
  /// Packs the same matrix for this number of rows. The result is opaque.
  at::Tensor pack(const at::Tensor& matrix, std::int64_t rows) const;
  /// x uint8 (M, in) → x · matrixᵀ, float32 (M, out).
  at::Tensor product(const at::Tensor& x, const at::Tensor& packed) const;

 private:
  at::Tensor scales_;  // (out,)
  at::Tensor zeros_;   // (out,)
  at::Tensor sums_;    // (out,)
};

/// The rounding error of Int8Conv for a float32 weight, with the weight's shape.
at::Tensor int8_rounding_error(const at::Tensor& weight);

/// A convolution of uint8 inputs by int8 weights with one scale per channel; channels-last, on the CPU. It holds the
/// scales. The caller holds the packed weight. A 1×1 convolution of stride 1 runs as a matrix product, in which ATen
/// adds a residual in place; ATen's convolution copies the sum.
class Int8Conv {
 public:
  /// weight: float32 (out, in / groups, kh, kw). `x` is the quantization of the inputs.
  Int8Conv(const at::Tensor& weight, const Quantization& x);

  /// Packs the same weight for inputs of this shape. The result is opaque.
  at::Tensor pack(const at::Tensor& weight, const ConvGeometry& geometry, at::IntArrayRef input) const;

  struct Sum {
    at::Tensor stored;  // uint8, like the output
    Quantization quantization;
    bool overwrites = false;  // whether the output may be in its memory
  };
  struct Output {
    at::Tensor bias;  // float32 (out,)
    Sum residual;     // residual.stored may be undefined
    FusedActivation activation;
    Quantization quantization;
  };
  /// Whether operator() can end with this activation. A clamp's upper bound is that of the output's quantization.
  static bool can_end_with(const FusedActivation& activation, bool has_residual);
  /// x uint8 → activation(conv(x) + bias + residual) as uint8 in the output's quantization. REQUIRES: can_end_with().
  at::Tensor operator()(const at::Tensor& x, const at::Tensor& packed, const ConvGeometry& geometry,
                        const Output& y) const;
  /// x uint8 → conv(x), float32 or bfloat16.
  at::Tensor operator()(const at::Tensor& x, const at::Tensor& packed, const ConvGeometry& geometry,
                        at::ScalarType type) const;

 private:
  bool is_product(const ConvGeometry& geometry) const;

  Quantization x_;
  std::vector<std::int64_t> sizes_;  // of the weight
  at::Tensor scales_;                // (out,)
  at::Tensor zeros_;                 // (out,)
};

}  // namespace lorikeet
