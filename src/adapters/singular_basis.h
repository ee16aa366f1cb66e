// The leading singular vectors of a weight, of which LoRA-XS and TinyLoRA make their fixed matrices. No file stores
// them, so every machine, compiler, library version and number of threads must find the same bits: own loops in
// double, +, −, ×, ÷ and √ in a fixed order, sums over ascending indices, compiled without contraction to fused
// operations. docs/adapters.md states the algorithm, which is the definition of the basis.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

namespace lorikeet {

/// weight ≈ left · diag(values) · right, all float32.
struct SingularBasis {
  /// (out, rank), orthonormal columns.
  at::Tensor left;
  /// (rank,), descending, at least 0.
  at::Tensor values;
  /// (rank, columns), orthonormal rows; the largest element of each, the first of equals, is positive.
  at::Tensor right;
};

/// `weight` float32 (out, …), as a matrix (out, columns). `rank` is limited to the smaller side of the matrix.
/// Singular values that are well separated are those of LAPACK; a value of at most 1e-7 of the largest counts as 0, and
/// its vectors are random ones, orthogonal to the others.
SingularBasis singular_basis(const at::Tensor& weight, std::int64_t rank);

/// Throws UsageError, which `where` begins, if the basis would take minutes: for more than 492 vectors of a matrix
/// whose smaller side has more than 2,048 elements. The time grows with the cube of the rank, up to that of this side.
void check_basis_rank(std::int64_t rank, std::int64_t smaller_side, const std::string& where);

/// Those of several weights, on all threads.
struct RankedWeight {
  at::Tensor weight;
  std::int64_t rank;
};
std::vector<SingularBasis> singular_bases(const std::vector<RankedWeight>& weights);

}  // namespace lorikeet
