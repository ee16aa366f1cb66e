#include "adapters/symmetric_eigen.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace lorikeet {
namespace {

using Row = std::vector<double>;
using Rows = std::vector<Row>;

// Sets `matrix` to QᵀMQ, tridiagonal, and returns Qᵀ.
Rows reduce_to_tridiagonal(Rows& matrix) {
  const std::size_t n = matrix.size();
  Rows rotation(n, Row(n, 0.0));
  for (std::size_t i = 0; i < n; ++i) rotation[i][i] = 1;
  for (std::size_t k = 0; k + 2 < n; ++k) {
    // The reflection 1 − factor·v·vᵀ that leaves only the first element of column k below the diagonal.
    Row v(n, 0.0);
    double square = 0;
    for (std::size_t i = k + 1; i < n; ++i) {
      v[i] = matrix[i][k];
      square += v[i] * v[i];
    }
    const double rest = square - v[k + 1] * v[k + 1];
    if (!(rest > 0)) continue;
    const double length = std::sqrt(square);
    v[k + 1] += v[k + 1] < 0 ? -length : length;
    const double factor = 2 / (rest + v[k + 1] * v[k + 1]);

    Row w(n, 0.0);  // factor·M·v, less its part along v
    for (std::size_t j = k + 1; j < n; ++j) {
      for (std::size_t i = k; i < n; ++i) w[i] += matrix[j][i] * v[j];
    }
    double along = 0;
    for (std::size_t i = k; i < n; ++i) {
      w[i] *= factor;
      along += w[i] * v[i];
    }
    const double half = factor * along / 2;
    for (std::size_t i = k; i < n; ++i) w[i] -= half * v[i];
    for (std::size_t i = k; i < n; ++i) {
      for (std::size_t j = k; j < n; ++j) matrix[i][j] -= v[i] * w[j] + w[i] * v[j];
    }

    Row projected(n, 0.0);
    for (std::size_t i = k + 1; i < n; ++i) {
      for (std::size_t j = 0; j < n; ++j) projected[j] += v[i] * rotation[i][j];
    }
    for (std::size_t i = k + 1; i < n; ++i) {
      const double scale = factor * v[i];
      for (std::size_t j = 0; j < n; ++j) rotation[i][j] -= scale * projected[j];
    }
  }
  return rotation;
}

// Rotates rows i and i + 1.
void rotate(Rows& rows, std::size_t i, double sine, double cosine) {
  double* const lower = rows[i].data();
  double* const upper = rows[i + 1].data();
  const std::size_t n = rows[i].size();
  for (std::size_t k = 0; k < n; ++k) {
    const double f = upper[k];
    upper[k] = sine * lower[k] + cosine * f;
    lower[k] = cosine * lower[k] - sine * f;
  }
}

// Makes the tridiagonal matrix with this diagonal and off-diagonal (one element shorter, then 0) diagonal, and applies
// the same rotations to `rows`.
void implicit_ql(Row& diagonal, Row& off, Rows& rows) {
  constexpr int kMostSteps = 100;  // per eigenvalue; two on average
  const std::size_t n = diagonal.size();
  double greatest = 0;
  for (std::size_t i = 0; i < n; ++i) greatest = std::max({greatest, std::abs(diagonal[i]), std::abs(off[i])});
  const auto is_negligible = [&](std::size_t i) {
    const double near = std::abs(diagonal[i]) + std::abs(diagonal[i + 1]);
    return std::abs(off[i]) <= 0x1p-52 * near || std::abs(off[i]) <= 0x1p-60 * greatest;
  };
  for (std::size_t first = 0; first < n; ++first) {
    for (int step = 0; step < kMostSteps; ++step) {
      std::size_t last = first;
      while (last + 1 < n && !is_negligible(last)) ++last;
      if (last == first) break;
      double g = (diagonal[first + 1] - diagonal[first]) / (2 * off[first]);
      double r = std::sqrt(g * g + 1);
      g = diagonal[last] - diagonal[first] + off[first] / (g + (g < 0 ? -r : r));
      double sine = 1, cosine = 1, shift = 0;
      std::size_t i = last;
      for (; i > first; --i) {
        const double f = sine * off[i - 1];
        const double b = cosine * off[i - 1];
        r = std::sqrt(f * f + g * g);
        off[i] = r;
        if (r == 0) {
          diagonal[i] -= shift;
          off[last] = 0;
          break;
        }
        sine = f / r;
        cosine = g / r;
        g = diagonal[i] - shift;
        r = (diagonal[i - 1] - g) * sine + 2 * cosine * b;
        shift = sine * r;
        diagonal[i] = g + shift;
        g = cosine * r - b;
        rotate(rows, i - 1, sine, cosine);
      }
      if (i > first) continue;
      diagonal[first] -= shift;
      off[first] = g;
      off[last] = 0;
    }
  }
}

}  // namespace

SymmetricEigen symmetric_eigen(std::vector<std::vector<double>> matrix) {
  const std::size_t n = matrix.size();
  Rows rows = reduce_to_tridiagonal(matrix);
  Row diagonal(n), off(n, 0.0);
  for (std::size_t i = 0; i < n; ++i) {
    diagonal[i] = matrix[i][i];
    if (i + 1 < n) off[i] = matrix[i + 1][i];
  }
  implicit_ql(diagonal, off, rows);
  std::vector<std::size_t> order(n);
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return diagonal[a] > diagonal[b]; });
  SymmetricEigen out;
  for (const std::size_t i : order) {
    out.values.push_back(diagonal[i]);
    out.vectors.push_back(std::move(rows[i]));
  }
  return out;
}

}  // namespace lorikeet
