// Products of many rows with LoRA's factors, whose rank is small. MKL first copies its operands into its own layout,
// which takes as long as the product. In float32 the rows are read in place (kernels/tiles.h); otherwise this is ATen.
#pragma once

#include <ATen/core/Tensor.h>

namespace lorikeet {

/// rows (n, c), factor (r, c) → rows · factorᵀ, (n, r).
at::Tensor thin_product(const at::Tensor& rows, const at::Tensor& factor);

/// low (n, r), rows (n, c) → lowᵀ · rows, (r, c): the gradient of the factor in thin_product(), and in rows += low ·
/// factor. The result does not depend on the number of threads.
at::Tensor factor_gradient(const at::Tensor& low, const at::Tensor& rows);

}  // namespace lorikeet
