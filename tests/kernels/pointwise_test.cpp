#include "kernels/pointwise.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <doctest/doctest.h>

#include <limits>
#include <utility>
#include <vector>

#include "graph/small_graphs.h"
#include "kernels/frozen_conv.h"

using namespace lorikeet;

namespace {

at::Tensor noise_rows(at::IntArrayRef shape, std::uint64_t seed) {
  at::Generator generator = seeded(seed);
  return at::empty(shape).normal_(0, 1, generator).to(at::kBFloat16);
}

bool runs_here() { return has_pointwise(128, 16, at::TensorOptions(at::kBFloat16)); }

}  // namespace

TEST_CASE("a product of pixels and what follows it are float32's, rounded once") {
  if (!runs_here()) {
    MESSAGE("skipped: this processor has no products of bfloat16");
    return;
  }
  for (const std::int64_t pixels : {1, 13, 14, 29, 700}) {
    for (const std::int64_t in : {128, 144}) {
      for (const std::int64_t out : {16, 32, 80}) {
        CAPTURE(pixels);
        CAPTURE(in);
        CAPTURE(out);
        const at::Tensor x = noise_rows({pixels, in}, 1), matrix = noise_rows({out, in}, 2);
        const at::Tensor bias = noise_rows({out}, 3).to(at::kFloat), residual = noise_rows({pixels, out}, 4);
        const at::Tensor weights = pointwise_weights(matrix.to(at::kFloat));
        const at::Tensor product = at::mm(x.to(at::kDouble), matrix.to(at::kDouble).t());
        const at::Tensor y = at::empty({pixels, out}, x.options());

        pointwise_product(x, {}, weights, {}, y);
        CHECK(relative(y.to(at::kDouble), product) < 3e-3);

        const Clamp relu{0, std::numeric_limits<float>::infinity()};
        const at::Tensor expected = product + bias + residual;
        const at::Tensor mask = packed_mask(image_of(y));
        const at::Tensor over = residual.clone();
        pointwise_product(x, {}, weights, {bias, over, relu, mask}, over);
        CHECK(relative(over.to(at::kDouble), expected.clamp_min(0)) < 3e-3);
        const at::Tensor ones = image_of(at::ones_like(y));
        const at::Tensor kept = pixels_of(activation_gradient(ones, mask, {.clamp = relu}));
        const at::Tensor is_near_zero = at::abs(expected) < 1e-3;
        CHECK(at::logical_or(is_near_zero, (kept > 0) == (expected > 0)).all().item<bool>());

        const at::Tensor input_mask = packed_mask(image_of(x));
        at::Generator generator = seeded(5);
        input_mask.random_(0, 256, generator);
        const at::Tensor masked = pixels_of(activation_gradient(image_of(x), input_mask, {.clamp = relu}));
        pointwise_product(x, input_mask, weights, {}, y);
        CHECK(relative(y.to(at::kDouble), at::mm(masked.to(at::kDouble), matrix.to(at::kDouble).t())) < 3e-3);
      }
    }
  }
}

TEST_CASE("a 1×1 convolution in bfloat16 and its gradient through the activation are ATen's") {
  // With stride 2, the only pixel that is read of 2×2 ones is a view.
  for (const auto& [stride, side] : std::vector<std::pair<std::int64_t, std::int64_t>>{{1, 10}, {2, 10}, {2, 2}}) {
    const Conv2d conv{.in = 128, .out = 144, .stride = {stride, stride}};
    const at::Tensor weight = noise_rows({144, 128, 1, 1}, 1).to(at::kFloat), scale = at::ones({144});
    const FrozenConv frozen(conv, weight, scale, at::kBFloat16);
    const auto images = [](at::IntArrayRef shape, std::uint64_t seed) {
      return noise_rows(shape, seed).contiguous(at::MemoryFormat::ChannelsLast);
    };
    const at::Tensor x = images({2, 128, side, side}, 2);
    const at::Tensor before = at::conv2d(x.to(at::kFloat), weight, {}, stride);
    const at::Tensor residual = images(before.sizes(), 3), bias = noise_rows({144}, 4).to(at::kFloat);
    const FusedActivation relu{.clamp = {0, std::numeric_limits<float>::infinity()}};
    const at::Tensor expected = (before + bias.view({1, -1, 1, 1}) + residual).clamp_min(0);
    at::Tensor kept;
    CHECK(relative(frozen.forward(x, {bias, residual, relu}, &kept).to(at::kFloat), expected) < 5e-3);
    CHECK(relative(frozen.forward(x, {bias, residual, relu}).to(at::kFloat), expected) < 5e-3);
    CHECK(relative(frozen.forward_over_residual(x, {bias, residual.clone(), relu}).to(at::kFloat), expected) < 5e-3);

    const at::Tensor grad = images(before.sizes(), 5), sum = images(x.sizes(), 6);
    const at::Tensor masked = activation_gradient(grad, kept, relu);
    const at::Tensor to_x = frozen.input_gradient(masked, {side, side}).to(at::kFloat);
    CHECK(relative(frozen.input_gradient({grad, kept, relu}, {side, side}).to(at::kFloat), to_x) < 5e-3);
    const at::Tensor total = to_x + sum;
    const at::Tensor added = frozen.input_gradient({grad, kept, relu}, {side, side}, sum);
    CHECK(added.is_alias_of(sum));
    CHECK(relative(added.to(at::kFloat), total) < 5e-3);
  }
}
