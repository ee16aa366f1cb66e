#include "adapters/lora_start.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include <algorithm>
#include <cmath>
#include <tuple>
#include <vector>

#include "adapters/layer_adapter.h"
#include "base/error.h"

namespace lorikeet {
namespace {

struct Matrices {
  at::Tensor A;  // (r, in)
  at::Tensor B;  // (out, r)
};

void check_rank(const std::string& name, std::int64_t rank, const at::Tensor& matrix, const char* start) {
  const std::int64_t most = std::min(matrix.size(0), matrix.size(1));
  if (rank > most)
    fail_usage("r: got ", rank, " for ", name, " with init_lora_weights ", start, ", expected at most ", most,
               ", the rank of its weight.");
}

// PiSSA (Meng et al., 2024, arXiv:2404.02948): the largest singular values, split equally between both matrices.
Matrices pissa(const std::string& name, const at::Tensor& matrix, std::int64_t rank, double scaling) {
  check_rank(name, rank, matrix, "pissa");
  const auto [U, S, V] = at::linalg_svd(matrix, /*full_matrices=*/false);
  const at::Tensor root = at::sqrt(S.slice(0, 0, rank) / std::abs(scaling));
  return {root.unsqueeze(1) * V.slice(0, 0, rank), U.slice(1, 0, rank) * root * std::copysign(1.0, scaling)};
}

// OLoRA (Büyükakyüz, 2024, arXiv:2406.01775): the first columns and rows of the QR decomposition.
Matrices olora(const std::string& name, const at::Tensor& matrix, std::int64_t rank) {
  check_rank(name, rank, matrix, "olora");
  const auto [Q, R] = at::linalg_qr(matrix);
  return {R.slice(0, 0, rank).contiguous(), Q.slice(1, 0, rank).contiguous()};
}

// Random combinations of the odd and of the even rows of one orthogonal matrix, so that the product is zero.
Matrices orthogonal(const std::string& name, const at::Tensor& matrix, std::int64_t rank, at::Generator& generator) {
  if (rank % 2 != 0)
    fail_usage("r: got ", rank, " for ", name,
               " with init_lora_weights orthogonal, expected an even rank for each group.");
  const auto normal = [&](std::int64_t rows, std::int64_t columns) {
    return at::empty({rows, columns}).normal_(0, 1, generator);
  };
  const at::Tensor Q = std::get<0>(at::linalg_qr(normal(rank, rank)));
  const at::Tensor odd = Q.slice(0, 0, rank, 2);
  const at::Tensor even = Q.slice(0, 1, rank, 2);
  return {at::mm(normal(matrix.size(1), rank / 2), odd).t().contiguous() / 10,
          at::mm(normal(matrix.size(0), rank / 2), even) / 10};
}

Matrices start_one(const std::string& name, const at::Tensor& matrix, std::int64_t rank, double scaling,
                   LoraStart start, at::Generator& generator) {
  switch (start) {
    case LoraStart::kPissa: return pissa(name, matrix, rank, scaling);
    case LoraStart::kOlora: return olora(name, matrix, rank);
    default: return orthogonal(name, matrix, rank, generator);
  }
}

}  // namespace

LoraStarts start_matrices(const std::string& name, const at::Tensor& weight, std::int64_t blocks,
                          const AdapterTarget& target, LoraStart start, at::Generator& generator) {
  const at::Tensor matrix = weight.detach().flatten(1);
  const at::Tensor zeros = at::zeros({matrix.size(0), target.rank / blocks});
  if (start == LoraStart::kDefault) return {kaiming_uniform({target.rank, matrix.size(1)}, generator), zeros};
  if (start == LoraStart::kGaussian) {
    return {at::empty({target.rank, matrix.size(1)}).normal_(0, 1.0 / static_cast<double>(target.rank), generator),
            zeros};
  }
  std::vector<at::Tensor> A, B;
  for (const at::Tensor& block : matrix.chunk(blocks)) {
    Matrices one = start_one(name, block, target.rank / blocks, target.scaling, start, generator);
    A.push_back(std::move(one.A));
    B.push_back(std::move(one.B));
  }
  return {at::cat(A), at::cat(B), start != LoraStart::kOrthogonal};
}

}  // namespace lorikeet
