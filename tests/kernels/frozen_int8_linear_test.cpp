#include "kernels/frozen_int8_linear.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <doctest/doctest.h>

#include <limits>

#include "graph/small_graphs.h"

using namespace lorikeet;

namespace {

at::Tensor normal_rows(at::IntArrayRef shape, std::uint64_t seed) {
  at::Generator generator = seeded(seed);
  return at::empty(shape).normal_(0, 1, generator);
}

}  // namespace

TEST_CASE("quantized rows are within half a step of the rows") {
  at::Tensor rows = normal_rows({7, 37}, 1) * at::logspace(-6, 6, 7).unsqueeze(1) + 3;
  rows[2].fill_(-5);  // no range
  const QuantizedRows found = quantize_rows(rows);
  const at::Tensor scale = found.scale.unsqueeze(1);
  const at::Tensor error = at::abs(found.stored.to(at::kFloat) * scale + found.offset.unsqueeze(1) - rows);
  CHECK(at::all(error <= scale * 0.501 + at::abs(rows) * 1e-6).item<bool>());
  CHECK((found.stored.max().item<int>() == 255 && found.stored.min().item<int>() == 0));
}

TEST_CASE("an int8 Linear is the real one to within its rounding, each row whatever the others") {
  const std::int64_t in = 48, out = 40;
  const at::Tensor weight = normal_rows({out, in}, 1), scale = normal_rows({out}, 2);
  const at::Tensor x = at::abs(normal_rows({10, in}, 4));
  const FrozenInt8Linear linear(weight, scale);
  const at::Tensor plain = at::linear(x, weight * scale.unsqueeze(1));
  const at::Tensor y = linear(x, at::kFloat);
  CHECK(relative(y, plain) < 0.02);
  CHECK(relative(y, plain) > 1e-6);
  CHECK(at::equal(linear(x.slice(0, 6), at::kFloat), y.slice(0, 6)));
  CHECK(linear.bytes() >= static_cast<std::uint64_t>(in * out));
}

TEST_CASE("what is not finite makes its row, and no other, not finite") {
  const FrozenInt8Linear linear(normal_rows({8, 16}, 1), at::ones({8}));
  for (const float value : {std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::quiet_NaN(),
                            std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity()}) {
    at::Tensor x = normal_rows({3, 16}, 2);
    x[1][5].fill_(value);
    const at::Tensor y = linear(x, at::kFloat);
    CHECK_FALSE(at::isfinite(y[1]).any().item<bool>());
    CHECK(at::isfinite(y[0]).all().item<bool>());
    CHECK(at::isfinite(y[2]).all().item<bool>());
  }
}
