#include "kernels/smooth_activation.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <doctest/doctest.h>

#include <limits>

#include "graph/small_graphs.h"

using namespace lorikeet;

namespace {

const SmoothActivation kAll[]{SmoothActivation::kGelu, SmoothActivation::kGeluTanh, SmoothActivation::kSilu,
                              SmoothActivation::kHardSwish};

at::Tensor value_of(SmoothActivation f, const at::Tensor& z) {
  switch (f) {
    case SmoothActivation::kGelu: return at::gelu(z, "none");
    case SmoothActivation::kGeluTanh: return at::gelu(z, "tanh");
    case SmoothActivation::kSilu: return at::silu(z);
    default: return at::hardswish(z);
  }
}

at::Tensor derivative_of(SmoothActivation f, const at::Tensor& z) {
  const at::Tensor one = at::ones_like(z);
  switch (f) {
    case SmoothActivation::kGelu: return at::gelu_backward(one, z, "none");
    case SmoothActivation::kGeluTanh: return at::gelu_backward(one, z, "tanh");
    case SmoothActivation::kSilu: return at::silu_backward(one, z);
    default: return at::hardswish_backward(one, z);
  }
}

double most(const at::Tensor& difference) { return difference.abs().max().item<double>(); }

}  // namespace

TEST_CASE("smooth activations and their derivatives are ATen's in double, over all values that occur") {
  const at::Tensor z = at::cat({at::linspace(-12, 12, 200001), at::tensor({-1e4, -88.5, -30.0, 30.0, 88.5, 1e4})})
                           .to(at::kFloat)
                           .view({-1, 1});
  const at::Tensor exact = z.to(at::kDouble);
  for (const SmoothActivation f : kAll) {
    CAPTURE(static_cast<int>(f));
    const at::Tensor y = z.clone();
    const at::Tensor kept = apply_smooth_(y, at::zeros({1}), {}, f, true);
    CHECK(most((y - value_of(f, exact)) / (1 + exact.abs())) < 2.5e-7);
    const at::Tensor passed = smooth_gradient(at::ones_like(y), kept, f);
    CHECK(most(passed - derivative_of(f, exact)) < 3e-6);
    // Where nothing or everything passes, it does so exactly.
    CHECK(passed[-6].item<float>() == 0);
    CHECK(passed[-1].item<float>() == 1);
  }
}

TEST_CASE("bias and residual are added before, in rows of any length, in float32 and bfloat16") {
  for (const std::int64_t channels : {5, 64, 1200}) {
    for (const auto type : {at::kFloat, at::kBFloat16}) {
      for (const bool with_residual : {false, true}) {
        at::Generator generator = seeded(1);
        const auto noise = [&](at::IntArrayRef shape) { return at::empty(shape).normal_(0, 2, generator).to(type); };
        const at::Tensor y = noise({37, channels}), residual = with_residual ? noise({37, channels}) : at::Tensor();
        const at::Tensor bias = noise({channels}).to(at::kFloat), grad = noise({37, channels});
        at::Tensor z = y.to(at::kFloat) + bias;
        if (with_residual) z = z + residual.to(at::kFloat);
        const at::Tensor kept = apply_smooth_(y, bias, residual, SmoothActivation::kGelu, true);
        const double bound = type == at::kFloat ? 1e-6 : 5e-3;
        CHECK(relative(y.to(at::kFloat), at::gelu(z)) < bound);
        const at::Tensor gradient = smooth_gradient(grad, kept, SmoothActivation::kGelu);
        CHECK(relative(gradient.to(at::kFloat), at::gelu_backward(grad.to(at::kFloat), z)) < bound);
        CHECK(at::equal(smooth_gradient(grad, kept, SmoothActivation::kGelu, /*overwrites=*/true), gradient));
      }
    }
  }
}

TEST_CASE("a NaN comes through a smooth activation") {
  for (const SmoothActivation f : kAll) {
    for (const auto type : {at::kFloat, at::kBFloat16}) {
      const at::Tensor y = at::full({2, 8}, std::numeric_limits<float>::quiet_NaN()).to(type);
      CHECK_FALSE(apply_smooth_(y, at::zeros({8}), {}, f, false).defined());
      CHECK(at::isnan(y).all().item<bool>());
    }
  }
}
