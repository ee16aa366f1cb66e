#include "adapters/singular_basis.h"

#include <ATen/Functions.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <map>
#include <mutex>
#include <numeric>
#include <optional>
#include <string>
#include <utility>

#include "adapters/symmetric_eigen.h"
#include "base/counter_random.h"
#include "base/error.h"
#include "base/sha256.h"
#include "base/vector_clones.h"

namespace lorikeet {
namespace {

constexpr std::size_t kBlock = 4;   // vectors that are multiplied together
constexpr std::size_t kPanel = 16;  // columns that are computed together
// Dimension of the Krylov space for a rank: kSpacePerRank · rank + kSpace.
constexpr std::size_t kSpacePerRank = 4;
constexpr std::size_t kSpace = 80;
constexpr double kBreakdown = 1e-10;              // of the longest product: below it, a vector has nothing new
constexpr double kZeroValue = 1e-7;               // of the largest singular value
constexpr std::uint64_t kOtherSide = 1ULL << 32;  // first stream of the random vectors of the larger side

using Vector = std::vector<double>;

// A float32 matrix (rows, columns) as panels of kPanel columns, (panels, rows, kPanel), zero after the last column.
class Panels {
 public:
  // Element (row, column) is at values[row · row_step + column · column_step].
  Panels(const float* values, std::size_t rows, std::size_t columns, std::size_t row_step, std::size_t column_step)
      : rows_(rows), columns_(columns), values_((columns + kPanel - 1) / kPanel * rows * kPanel, 0.0F) {
    for (std::size_t column = 0; column < columns; ++column) {
      float* const panel = values_.data() + column / kPanel * rows * kPanel + column % kPanel;
      for (std::size_t row = 0; row < rows; ++row) panel[row * kPanel] = values[row * row_step + column * column_step];
    }
  }

  // out (columns, kBlock) = matrixᵀ · in, in (rows, kBlock).
  void multiply(const double* in, double* out) const {
    for (std::size_t column = 0; column < columns_; column += kPanel) {
      double sums[kBlock][kPanel];
      multiply_panel(values_.data() + column * rows_, rows_, in, sums);
      for (std::size_t i = 0; i < std::min(kPanel, columns_ - column); ++i) {
        for (std::size_t b = 0; b < kBlock; ++b) out[(column + i) * kBlock + b] = sums[b][i];
      }
    }
  }

 private:
  LORIKEET_VECTOR_CLONES static void multiply_panel(const float* panel, std::size_t rows, const double* in,
                                                    double (&out)[kBlock][kPanel]) {
    double sums[kBlock][kPanel] = {};
    for (std::size_t row = 0; row < rows; ++row) {
      for (std::size_t b = 0; b < kBlock; ++b) {
        const double factor = in[row * kBlock + b];
        for (std::size_t i = 0; i < kPanel; ++i) sums[b][i] += static_cast<double>(panel[row * kPanel + i]) * factor;
      }
    }
    std::copy(&sums[0][0], &sums[0][0] + kBlock * kPanel, &out[0][0]);
  }

  std::size_t rows_, columns_;
  std::vector<float> values_;
};

// out (count,) += factor · row
LORIKEET_VECTOR_CLONES void add_scaled(double* out, const double* row, double factor, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) out[i] += row[i] * factor;
}

double length_of(const Vector& vector) {
  double square = 0;
  for (const double element : vector) square += element * element;
  return std::sqrt(square);
}

// Orthonormal vectors of `length` elements.
class OrthonormalVectors {
 public:
  OrthonormalVectors(std::size_t length, std::size_t capacity, std::uint64_t stream)
      : length_(length), capacity_(capacity), stream_(stream), elements_(length * capacity, 0.0) {}

  std::size_t size() const { return vectors_.size(); }
  const Vector& operator[](std::size_t i) const { return vectors_[i]; }

  // Makes the vector orthogonal to all others, by classical Gram–Schmidt twice, and appends it with length 1. Appends
  // a random vector instead if at most `least` of its length is left; returns false then.
  bool append(Vector vector, double least) {
    if (append_if_new(vector, least)) return true;
    append_random();
    return false;
  }
  void append_random() {
    Vector vector(length_);
    do {
      for (std::size_t i = 0; i < length_; ++i) vector[i] = counter_uniform(stream_, i);
      ++stream_;
    } while (!append_if_new(vector, kBreakdown * length_of(vector)));
  }

 private:
  bool append_if_new(Vector& vector, double least) {
    for (int pass = 0; pass < 2; ++pass) {
      Vector parts(size(), 0.0);
      for (std::size_t k = 0; k < length_; ++k)
        add_scaled(parts.data(), elements_.data() + k * capacity_, vector[k], size());
      for (std::size_t i = 0; i < size(); ++i) add_scaled(vector.data(), vectors_[i].data(), -parts[i], length_);
    }
    const double left = length_of(vector);
    if (!(left > least)) return false;
    for (std::size_t k = 0; k < length_; ++k) {
      vector[k] /= left;
      elements_[k * capacity_ + size()] = vector[k];
    }
    vectors_.push_back(vector);
    return true;
  }

  std::size_t length_, capacity_;
  std::uint64_t stream_;
  std::vector<Vector> vectors_;
  std::vector<double> elements_;  // (length, capacity): the same by element
};

// σ with its vectors on the smaller and the larger side of the matrix.
struct Triplet {
  double value = 0;
  Vector small, large;
};

// The leading triplets of a matrix M (large, small) that is not zero: block Lanczos on MᵀM, and the eigenvectors of MᵀM
// in the Krylov space. `to_large` multiplies by M, `to_small` by Mᵀ.
std::vector<Triplet> leading_triplets(const Panels& to_large, const Panels& to_small, std::size_t large,
                                      std::size_t small, std::size_t rank) {
  const std::size_t space = std::min(small, kSpacePerRank * rank + kSpace);
  OrthonormalVectors basis(small, space, /*stream=*/0);
  while (basis.size() < std::min(kBlock, space)) basis.append_random();
  Vector images(large * space, 0.0);  // (large, space): M · basis
  double longest = 0;
  Vector in(small * kBlock), image(large * kBlock), back(small * kBlock), next(small);
  for (std::size_t first = 0; first < space; first += kBlock) {
    const std::size_t count = std::min(kBlock, space - first);
    std::fill(in.begin(), in.end(), 0.0);
    for (std::size_t b = 0; b < count; ++b) {
      for (std::size_t k = 0; k < small; ++k) in[k * kBlock + b] = basis[first + b][k];
    }
    to_large.multiply(in.data(), image.data());
    for (std::size_t k = 0; k < large; ++k)
      std::copy_n(image.data() + k * kBlock, count, images.data() + k * space + first);
    if (basis.size() == space) continue;
    to_small.multiply(image.data(), back.data());
    for (std::size_t b = 0; b < count && basis.size() < space; ++b) {
      for (std::size_t k = 0; k < small; ++k) next[k] = back[k * kBlock + b];
      longest = std::max(longest, length_of(next));
      basis.append(next, kBreakdown * longest);
    }
  }

  std::vector<Vector> gram(space, Vector(space, 0.0));
  for (std::size_t k = 0; k < large; ++k) {
    const double* const row = images.data() + k * space;
    for (std::size_t i = 0; i < space; ++i) add_scaled(gram[i].data(), row, row[i], space);
  }
  const SymmetricEigen eigen = symmetric_eigen(std::move(gram));
  std::vector<Triplet> out(rank);
  for (std::size_t s = 0; s < rank; ++s) {
    out[s].small.assign(small, 0.0);
    out[s].large.assign(large, 0.0);
    for (std::size_t i = 0; i < space; ++i)
      add_scaled(out[s].small.data(), basis[i].data(), eigen.vectors[s][i], small);
    for (std::size_t k = 0; k < large; ++k) {
      for (std::size_t i = 0; i < space; ++i) out[s].large[k] += images[k * space + i] * eigen.vectors[s][i];
    }
    out[s].value = length_of(out[s].large);
  }
  std::stable_sort(out.begin(), out.end(), [](const Triplet& a, const Triplet& b) { return a.value > b.value; });
  return out;
}

// Of a matrix of zeros: any orthonormal vectors.
std::vector<Triplet> zero_triplets(std::size_t large, std::size_t small, std::size_t rank) {
  OrthonormalVectors basis(small, rank, /*stream=*/0);
  std::vector<Triplet> out(rank);
  for (Triplet& triplet : out) {
    basis.append_random();
    triplet.small = basis[basis.size() - 1];
    triplet.large.assign(large, 0.0);
  }
  return out;
}

// Makes the vectors of the larger side, M · small so far, orthonormal: random ones where the value is 0.
void complete_larger_side(std::vector<Triplet>& triplets) {
  const double least = kZeroValue * triplets.front().value;
  OrthonormalVectors basis(triplets.front().large.size(), triplets.size(), kOtherSide);
  for (Triplet& triplet : triplets) {
    const bool is_zero = !(triplet.value > least);
    if (is_zero) {
      basis.append_random();
    } else {
      basis.append(triplet.large, 0);
    }
    if (is_zero) triplet.value = 0;
    triplet.large = basis[basis.size() - 1];
  }
}

bool is_largest_negative(const Vector& vector) {
  std::size_t largest = 0;
  for (std::size_t i = 1; i < vector.size(); ++i) {
    if (std::abs(vector[i]) > std::abs(vector[largest])) largest = i;
  }
  return vector[largest] < 0;
}

// Bases that were computed, by the content of the weight. A process that creates many networks over one base, as a
// search does, would otherwise spend most of its time here. Thread-safe.
class KnownBases {
 public:
  std::optional<SingularBasis> find(const std::string& key) {
    const std::lock_guard lock(mutex_);
    const auto found = bases_.find(key);
    return found == bases_.end() ? std::nullopt : std::optional(copy_of(found->second));
  }
  void add(const std::string& key, const SingularBasis& basis) {
    constexpr std::size_t kMostBytes = 64 << 20;
    const std::lock_guard lock(mutex_);
    bytes_ += basis.left.nbytes() + basis.values.nbytes() + basis.right.nbytes();
    if (bytes_ > kMostBytes) {
      bases_.clear();
      bytes_ = 0;
      return;
    }
    bases_.emplace(key, copy_of(basis));
  }

 private:
  static SingularBasis copy_of(const SingularBasis& basis) {
    return {basis.left.clone(), basis.values.clone(), basis.right.clone()};
  }

  std::mutex mutex_;
  std::map<std::string, SingularBasis> bases_;
  std::size_t bytes_ = 0;
};

KnownBases& known_bases() {
  static KnownBases known;
  return known;
}

SingularBasis compute_basis(const at::Tensor& matrix, std::int64_t rank) {
  const auto rows = static_cast<std::size_t>(matrix.size(0)), columns = static_cast<std::size_t>(matrix.size(1));
  const float* const values = matrix.const_data_ptr<float>();
  const bool is_wide = columns > rows;
  const std::size_t small = std::min(rows, columns), large = std::max(rows, columns);
  const std::size_t kept = std::min(static_cast<std::size_t>(rank), small);
  const bool is_zero = std::all_of(values, values + rows * columns, [](float value) { return value == 0; });
  std::vector<Triplet> triplets;
  if (is_zero) {
    triplets = zero_triplets(large, small, kept);
  } else {
    const Panels by_columns(values, rows, columns, columns, 1);  // in (rows) → out (columns)
    const Panels by_rows(values, columns, rows, 1, columns);
    triplets = is_wide ? leading_triplets(by_columns, by_rows, large, small, kept)
                       : leading_triplets(by_rows, by_columns, large, small, kept);
  }
  complete_larger_side(triplets);

  const auto size = static_cast<std::int64_t>(kept);
  SingularBasis out{at::empty({matrix.size(0), size}), at::empty({size}), at::empty({size, matrix.size(1)})};
  float* const left = out.left.mutable_data_ptr<float>();
  float* const right = out.right.mutable_data_ptr<float>();
  for (std::size_t s = 0; s < kept; ++s) {
    const Vector& u = is_wide ? triplets[s].small : triplets[s].large;
    const Vector& v = is_wide ? triplets[s].large : triplets[s].small;
    const double sign = is_largest_negative(v) ? -1 : 1;
    out.values.mutable_data_ptr<float>()[s] = static_cast<float>(triplets[s].value);
    for (std::size_t k = 0; k < rows; ++k) left[k * kept + s] = static_cast<float>(sign * u[k]);
    for (std::size_t k = 0; k < columns; ++k) right[s * columns + k] = static_cast<float>(sign * v[k]);
  }
  return out;
}

}  // namespace

SingularBasis singular_basis(const at::Tensor& weight, std::int64_t rank) {
  const at::Tensor matrix = weight.detach().to(at::kCPU, at::kFloat).flatten(1).contiguous();
  Sha256 hash;
  hash.update(matrix.const_data_ptr<float>(), matrix.nbytes());
  const std::string key =
      cat(matrix.size(0), ' ', matrix.size(1), ' ', std::min({rank, matrix.size(0), matrix.size(1)}), ' ', hash.hex());
  if (auto known = known_bases().find(key)) return std::move(*known);
  SingularBasis out = compute_basis(matrix, rank);
  known_bases().add(key, out);
  return out;
}

void check_basis_rank(std::int64_t rank, std::int64_t smaller_side, const std::string& where) {
  constexpr std::size_t kMostSpace = 2048;
  constexpr auto kMostRank = static_cast<std::int64_t>((kMostSpace - kSpace) / kSpacePerRank);
  if (smaller_side <= static_cast<std::int64_t>(kMostSpace) || rank <= kMostRank) return;
  fail_usage(where, ": got ", rank, " for a weight whose smaller side has ", smaller_side,
             " elements, expected at most ", kMostRank, ". More singular vectors would take minutes.");
}

std::vector<SingularBasis> singular_bases(const std::vector<RankedWeight>& weights) {
  std::vector<SingularBasis> out(weights.size());
  std::atomic<std::size_t> next{0};
  at::parallel_for(0, at::get_num_threads(), 1, [&](std::int64_t, std::int64_t) {
    for (std::size_t i = next++; i < out.size(); i = next++)
      out[i] = singular_basis(weights[i].weight, weights[i].rank);
  });
  return out;
}

}  // namespace lorikeet
