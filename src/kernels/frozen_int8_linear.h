// A frozen Linear in int8: weights with one scale per output, packed once, and inputs with a scale and an offset per
// row, which each row's own values determine. No calibration is needed, and a row's result does not depend on the
// others (Yao et al., 2022, arXiv:2206.01861, section 4.2). Thread-safe.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "kernels/onednn.h"
#include "kernels/packings.h"

namespace lorikeet {

/// Rows of float32 as stored · scale + offset.
struct QuantizedRows {
  at::Tensor stored;  // uint8 (M, C)
  at::Tensor scale;   // float32 (M,)
  at::Tensor offset;  // float32 (M,)
};

/// rows: float32 (M, C), contiguous. A row's least value becomes 0 and its greatest 255.
QuantizedRows quantize_rows(const at::Tensor& rows);

class FrozenInt8Linear {
 public:
  /// weight: (out, in), multiplied by scale: (out,), both float32.
  FrozenInt8Linear(at::Tensor weight, at::Tensor scale);
  FrozenInt8Linear(const FrozenInt8Linear&) = delete;
  FrozenInt8Linear& operator=(const FrozenInt8Linear&) = delete;

  /// x (M, in), contiguous → x · weightᵀ, (M, out); float32 or bfloat16.
  at::Tensor operator()(const at::Tensor& x, at::ScalarType type) const;

  /// Bytes of the packed weights.
  std::uint64_t bytes() const { return packings_.bytes(); }

 private:
  at::Tensor weight() const;

  at::Tensor weight_;
  at::Tensor scale_;
  Int8Matrix int8_;
  Packings packings_;
};

}  // namespace lorikeet
