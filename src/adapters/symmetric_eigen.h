// Eigenvalues and eigenvectors of a small symmetric matrix, the same bits on every machine: Householder reduction to a
// tridiagonal matrix, then the implicit QL algorithm (Bowdler, Martin, Reinsch and Wilkinson, 1968), in double, with
// +, −, ×, ÷ and √ in a fixed order. Compiled without contraction to fused operations (src/CMakeLists.txt).
#pragma once

#include <cstdint>
#include <vector>

namespace lorikeet {

struct SymmetricEigen {
  /// In descending order; equal ones in the order in which QL finds them.
  std::vector<double> values;
  /// Row i is the eigenvector of values[i], of length 1.
  std::vector<std::vector<double>> vectors;
};

/// `matrix` (n, n), by rows, n = matrix.size().
SymmetricEigen symmetric_eigen(std::vector<std::vector<double>> matrix);

}  // namespace lorikeet
