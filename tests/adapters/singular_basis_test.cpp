#include "adapters/singular_basis.h"

#include <ATen/Functions.h>
#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <doctest/doctest.h>

#include <bit>
#include <cmath>
#include <cstdint>

#include "adapters/adapt.h"
#include "adapters/layers.h"
#include "base/counter_random.h"
#include "graph/small_graphs.h"
#include "lorikeet/error.h"

using namespace lorikeet;

namespace {

// A matrix of multiples of 2^-8, made by integer arithmetic.
at::Tensor integer_matrix(std::int64_t rows, std::int64_t columns) {
  at::Tensor out = at::empty({rows, columns});
  float* const elements = out.mutable_data_ptr<float>();
  for (std::int64_t i = 0; i < rows * columns; ++i)
    elements[i] = static_cast<float>((i * i * 7919 + i * 104729 + 12345) % 509 - 254) / 256;
  return out;
}

// FNV-1a over the bits.
std::uint64_t checksum(const SingularBasis& basis) {
  std::uint64_t out = 0xcbf29ce484222325;
  for (const at::Tensor& tensor : {basis.left, basis.values, basis.right}) {
    const at::Tensor flat = tensor.contiguous();
    for (std::int64_t i = 0; i < flat.numel(); ++i) {
      out ^= std::bit_cast<std::uint32_t>(flat.const_data_ptr<float>()[i]);
      out *= 0x100000001b3;
    }
  }
  return out;
}

void check_orthonormal(const SingularBasis& basis) {
  const at::Tensor left = basis.left.to(at::kDouble), right = basis.right.to(at::kDouble);
  const at::Tensor one = at::eye(left.size(1), at::kDouble);
  CHECK((at::mm(left.t(), left) - one).abs().max().item<double>() < 1e-6);
  CHECK((at::mm(right, right.t()) - one).abs().max().item<double>() < 1e-6);
  CHECK((basis.values.diff() <= 0).all().item<bool>());
  CHECK((basis.values >= 0).all().item<bool>());
}

// W·v = σ·u and Wᵀ·u = σ·v.
void check_triplets(const at::Tensor& matrix, const SingularBasis& basis, double bound) {
  const at::Tensor W = matrix.to(at::kDouble), left = basis.left.to(at::kDouble), right = basis.right.to(at::kDouble);
  const at::Tensor values = basis.values.to(at::kDouble);
  const double scale = std::max(values.max().item<double>(), 1e-30);
  CHECK((at::mm(W, right.t()) - left * values).abs().max().item<double>() / scale < bound);
  CHECK((at::mm(W.t(), left) - right.t() * values).abs().max().item<double>() / scale < bound);
}

}  // namespace

TEST_CASE("the singular basis of a weight with separated values is LAPACK's, up to signs") {
  for (const auto& [rows, columns] : {std::pair{8, 5}, {5, 8}, {96, 200}, {300, 120}, {1, 7}, {7, 1}}) {
    CAPTURE(rows);
    CAPTURE(columns);
    // Separated: σ falls by 8 % from one to the next.
    const std::int64_t small = std::min(rows, columns);
    const auto random = [](std::int64_t n, std::uint64_t seed) {
      return std::get<0>(at::linalg_qr(noise({n, n}, seed)));
    };
    const at::Tensor values = at::pow(0.92, at::arange(small, at::kDouble));
    const at::Tensor matrix =
        at::mm(random(rows, 1).slice(1, 0, small) * values, random(columns, 2).slice(0, 0, small)).to(at::kFloat);
    const std::int64_t rank = std::min<std::int64_t>(4, small);
    const SingularBasis found = singular_basis(matrix, rank);
    check_orthonormal(found);
    check_triplets(matrix, found, 1e-6);
    const auto [U, S, V] = at::linalg_svd(matrix.to(at::kDouble), /*full_matrices=*/false);
    for (std::int64_t i = 0; i < rank; ++i) {
      CHECK(std::abs(found.values[i].item<double>() - S[i].item<double>()) < 1e-6);
      const double sign = at::dot(found.right[i].to(at::kDouble), V[i]).item<double>() < 0 ? -1 : 1;
      CHECK((found.right[i] - sign * V[i]).abs().max().item<double>() < 1e-5);
      CHECK((found.left.select(1, i) - sign * U.select(1, i)).abs().max().item<double>() < 1e-5);
      const at::Tensor largest = found.right[i].abs().argmax();
      CHECK(found.right[i][largest.item<std::int64_t>()].item<double>() > 0);
    }
  }
}

TEST_CASE("weights that are zero, degenerate or of low rank have a basis too") {
  const auto check = [](const at::Tensor& matrix, std::int64_t rank) {
    const SingularBasis basis = singular_basis(matrix, rank);
    CHECK(basis.values.size(0) == std::min({rank, matrix.size(0), matrix.size(1)}));
    check_orthonormal(basis);
    check_triplets(matrix, basis, 1e-6);
    CHECK(checksum(basis) == checksum(singular_basis(matrix, rank)));
    return basis;
  };
  CHECK(check(at::zeros({6, 9}), 4).values.abs().max().item<float>() == 0);
  CHECK(check(at::eye(7), 5).values.allclose(at::ones({5})));
  CHECK(check(at::eye(200), 5).values.allclose(at::ones({5})));
  const at::Tensor one = at::mm(integer_matrix(30, 1), integer_matrix(1, 50));
  CHECK(check(one, 3).values.slice(0, 1).abs().max().item<float>() == 0);
  const at::Tensor two = at::mm(integer_matrix(120, 2), integer_matrix(2, 300));
  CHECK(check(two, 8).values.slice(0, 2).abs().max().item<float>() == 0);
  check(integer_matrix(3, 4), 100);
  check(integer_matrix(1, 1), 2);
  check(integer_matrix(20, 20) * 1e-20, 3);
  check(integer_matrix(20, 20) * 1e18, 3);
  check(at::cat({at::eye(4), at::zeros({4, 4})}), 4);  // equal and zero values
}

TEST_CASE("the leading vectors of a large weight without gaps are accurate where its values are separated") {
  const at::Tensor matrix = noise({256, 1024}, 3).to(at::kFloat);  // values within a few per cent of each other
  const SingularBasis basis = singular_basis(matrix, 4);
  check_orthonormal(basis);
  const auto [U, S, V] = at::linalg_svd(matrix.to(at::kDouble), /*full_matrices=*/false);
  CHECK(std::abs(basis.values[0].item<double>() / S[0].item<double>() - 1) < 1e-4);
}

TEST_CASE("ranks that would take minutes are refused") {
  CHECK_NOTHROW(check_basis_rank(2048, 2048, "r"));
  CHECK_NOTHROW(check_basis_rank(492, 4096, "r"));
  CHECK_THROWS_WITH_AS(check_basis_rank(493, 4096, "r: fc"),
                       doctest::Contains("r: fc: got 493 for a weight whose smaller side has 4096 elements"),
                       UsageError);
  Graph graph = small_resnet();
  const NodeId id = *graph.find("layer1.0.conv1");
  graph.replace(id, Conv2d{.in = 3000, .out = 3000});
  AdapterSpec spec;
  spec.config.target_modules = std::vector<std::string>{"layer1.0.conv1"};
  spec.config.r = 600;
  for (const PeftType type : {PeftType::kLoraXs, PeftType::kTinyLora}) {
    spec.config.peft_type = type;
    CHECK_THROWS_WITH_AS(count_trainable(adapt(graph, spec)), doctest::Contains("r: layer1.0.conv1: got 600"),
                         UsageError);
  }
}

TEST_CASE("the basis has the same bits everywhere") {
  const auto sum = [](std::int64_t rows, std::int64_t columns, std::int64_t rank) {
    return checksum(singular_basis(integer_matrix(rows, columns), rank));
  };
  for (const int threads : {1, 2}) {
    at::set_num_threads(threads);
    CHECK(sum(24, 40, 4) == 13124191316891366272U);
    CHECK(sum(150, 64, 2) == 15639278206235692451U);
    CHECK(sum(130, 333, 3) == 8252483080107067706U);
  }
  CHECK(checksum(singular_basis(at::zeros({5, 3}), 2)) == 3677513876888922321U);
}

TEST_CASE("numbers by counter are those of SplitMix64") {
  CHECK(counter_word(0, 0) == 0xe220a8397b1dcdaf);  // Vigna's reference implementation
  CHECK(counter_word(0, 1) == 0x6e789e6aa1b965f4);
  CHECK(counter_uniform(0, 0) == static_cast<double>(0xe220a8397b1dcdaf >> 11) * 0x1p-52 - 1);
  CHECK(std::abs(counter_normal(0, 0) -
                 (0xe220 + 0xa839 + 0x7b1d + 0xcdaf - 131070) / std::sqrt((65536.0 * 65536.0 - 1) / 3)) < 1e-12);
  double sum = 0, squares = 0;
  constexpr int kCount = 20000;
  for (std::uint64_t i = 0; i < kCount; ++i) {
    const double value = counter_normal(7, i);
    sum += value;
    squares += value * value;
    CHECK(std::abs(value) < 3.47);
  }
  CHECK(std::abs(sum / kCount) < 0.03);
  CHECK(std::abs(squares / kCount - 1) < 0.03);
}
