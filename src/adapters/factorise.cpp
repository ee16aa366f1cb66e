#include "adapters/factorise.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>

namespace lorikeet {

Factors factorise(const at::Tensor& delta, const Op& op, std::int64_t rank) {
  constexpr double kRounding = 1e-7;  // rounding error of float32
  const at::NoGradGuard no_grad;
  const auto [U, S, V] = at::linalg_svd(delta.to(at::kDouble).flatten(1), /*full_matrices=*/false);
  const std::int64_t full = S.size(0);
  std::int64_t kept = std::min(rank, full);
  if (rank == 0)
    kept = std::max<std::int64_t>(
        1, (S > kRounding * std::sqrt(static_cast<double>(full)) * S[0]).sum().item<std::int64_t>());
  const at::Tensor root = at::sqrt(S.slice(0, 0, kept));
  at::Tensor A = root.unsqueeze(1) * V.slice(0, 0, kept);
  at::Tensor B = U.slice(1, 0, kept) * root;
  const auto* conv = std::get_if<Conv2d>(&op);
  if (conv != nullptr && conv->groups > 1 && kept % conv->groups == 0) {
    A = at::constant_pad_nd(A, {0, 0, 0, 1});
    B = at::constant_pad_nd(B, {0, 1});
  }
  const double norm = S.norm().item<double>();
  Factors out{A.to(at::kFloat).contiguous(), B.to(at::kFloat).contiguous(),
              norm == 0 ? 0 : S.slice(0, kept).norm().item<double>() / norm};
  if (conv != nullptr) {
    out.lora_A = out.lora_A.reshape({-1, conv->in / conv->groups, conv->kernel[0], conv->kernel[1]});
    out.lora_B = out.lora_B.reshape({conv->out, -1, 1, 1});
  }
  return out;
}

}  // namespace lorikeet
