#include "kernels/epilogue.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <doctest/doctest.h>

#include <limits>

#include "graph/small_graphs.h"

using namespace lorikeet;

namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

at::Tensor noise(at::IntArrayRef shape, std::uint64_t seed, at::ScalarType type) {
  at::Generator generator = seeded(seed);
  return at::empty(shape).normal_(0, 4, generator).to(type).contiguous(at::MemoryFormat::ChannelsLast);
}

}  // namespace

TEST_CASE("bias, residual, activation and its gradient are ATen's, whether or not the channels come in eights") {
  for (const std::int64_t channels : {8, 24, 5}) {
    for (const Clamp clamp : {Clamp{}, Clamp{0, kInfinity}, Clamp{0, 6}}) {
      for (const bool with_residual : {false, true}) {
        for (const auto type : {at::kFloat, at::kBFloat16}) {
          CAPTURE(channels);
          CAPTURE(clamp.high);
          const at::Tensor y = noise({3, channels, 5, 7}, 1, type);
          const at::Tensor bias = noise({1, channels, 1, 1}, 2, at::kFloat).reshape({channels});
          const at::Tensor residual = with_residual ? noise({3, channels, 5, 7}, 3, type) : at::Tensor();
          at::Tensor before = y.to(at::kFloat) + bias.view({1, -1, 1, 1});
          if (with_residual) before = before + residual.to(at::kFloat);
          const at::Tensor grad = noise({3, channels, 5, 7}, 4, type);

          const at::Tensor mask = apply_epilogue_(y, {bias, residual, {clamp}}, true);
          const at::Tensor expected = at::clamp(before, clamp.low, clamp.high);
          CHECK(at::allclose(y.to(at::kFloat), expected, type == at::kFloat ? 1e-6 : 2e-2,
                             type == at::kFloat ? 1e-6 : 4e-2));
          CHECK(mask.defined() == clamp.active());
          const at::Tensor passes = at::logical_and(y.to(at::kFloat) > clamp.low, y.to(at::kFloat) < clamp.high);
          // At a bound itself, bfloat16's rounding may put an element on either side.
          const at::Tensor differs =
              (activation_gradient(grad, mask, {clamp}) != at::where(passes, grad, at::zeros_like(grad))).sum();
          CHECK(differs.item<std::int64_t>() <= (type == at::kFloat ? 0 : y.numel() / 50));
          const at::Tensor copy = grad.clone(), gradient = activation_gradient(grad, mask, {clamp});
          CHECK(at::equal(grad, copy));
          CHECK(at::equal(activation_gradient(grad, mask, {clamp}, /*overwrites=*/true), gradient));
        }
      }
    }
  }
}

TEST_CASE("without a mask nothing is kept, and the values are the same") {
  const at::Tensor y = noise({2, 8, 3, 3}, 1, at::kFloat);
  const at::Tensor other = y.clone();
  const at::Tensor bias = at::ones({8});
  CHECK(apply_epilogue_(y, {bias, {}, {{0, 6}}}, true).defined());
  CHECK_FALSE(apply_epilogue_(other, {bias, {}, {{0, 6}}}, false).defined());
  CHECK(at::equal(y, other));
}

TEST_CASE("NaN comes through, so that a loss that is not finite is seen") {
  const at::Tensor y =
      at::full({1, 8, 1, 1}, std::numeric_limits<float>::quiet_NaN()).contiguous(at::MemoryFormat::ChannelsLast);
  apply_epilogue_(y, {at::zeros({8}), {}, {{0, 6}}}, true);
  CHECK(at::isnan(y).all().item<bool>());
}
