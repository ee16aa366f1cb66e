// Products of bfloat16 pixels with a frozen matrix: 1×1 convolutions and Linear layers. The mask of a gradient is
// applied while the pixels are packed, and what follows the product while its sums are in registers; oneDNN needs
// separate passes for masks.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "kernels/epilogue.h"

namespace lorikeet {

/// Whether pointwise_product() runs on this processor for x and y of this type and device, and is faster than oneDNN
/// where something follows the product.
bool has_pointwise(std::int64_t in, std::int64_t out, const at::TensorOptions& options);

/// matrix: (out, in) → packed weights, bfloat16.
at::Tensor pointwise_weights(const at::Tensor& matrix);

/// x (M, in) → x · matrixᵀ, (M, out), followed by `after`, written to y, which may be after.residual.
/// `x_mask`: the packed bits of the elements of x that count; undefined: all. REQUIRES: has_pointwise().
void pointwise_product(const at::Tensor& x, const at::Tensor& x_mask, const at::Tensor& weights,
                       const JoinedEpilogue& after, const at::Tensor& y);

}  // namespace lorikeet
