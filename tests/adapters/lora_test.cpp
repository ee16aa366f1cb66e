// Contracts of LoRA on every kind of layer. In float64, so that a difference is a mistake and not rounding.
#include "adapters/lora.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <doctest/doctest.h>

#include <cmath>

#include "graph/reference.h"
#include "graph/small_graphs.h"
#include "lorikeet/error.h"

using namespace lorikeet;

namespace {

constexpr std::int64_t kRank = 4;

std::vector<Op> layers() {
  return {Linear{6, 5},
          Conv2d{.in = 4, .out = 6},
          Conv2d{.in = 4, .out = 6, .kernel = {3, 3}, .stride = {2, 2}, .padding = {1, 1}},
          Conv2d{.in = 4, .out = 6, .kernel = {3, 3}, .padding = {2, 2}, .dilation = {2, 2}},
          Conv2d{.in = 4, .out = 6, .kernel = {3, 5}, .stride = {2, 1}, .same_padding = true},
          Conv2d{.in = 4, .out = 6, .kernel = {3, 3}, .stride = {2, 2}, .padding = {1, 1}, .groups = 2},
          Conv2d{.in = 4, .out = 4, .kernel = {3, 3}, .padding = {1, 1}, .groups = 4}};  // depthwise
}

std::int64_t groups_of(const Op& op) { return std::holds_alternative<Conv2d>(op) ? std::get<Conv2d>(op).groups : 1; }

at::Tensor noise(at::IntArrayRef shape, std::uint64_t seed) {
  at::Generator generator = seeded(seed);
  return at::empty(shape, at::kDouble).normal_(0, 1, generator);
}

at::Tensor input_for(const Op& op) {
  return std::holds_alternative<Linear>(op) ? noise({3, 6}, 9) : noise({2, 4, 7, 8}, 9);
}

at::Tensor weight_for(const Op& op) {
  if (const auto* linear = std::get_if<Linear>(&op)) return noise({linear->out, linear->in}, 8);
  const auto& conv = std::get<Conv2d>(op);
  return noise({conv.out, conv.in / conv.groups, conv.kernel[0], conv.kernel[1]}, 8);
}

// As if it had been trained: B not zero.
LoraLayer trained(const Op& op) {
  const LoraShapes shapes = lora_shapes({"x", op, {0}}, kRank);
  return {noise(shapes.lora_A, 1), noise(shapes.lora_B, 2), 0.75, 0};
}

bool close(const at::Tensor& a, const at::Tensor& b) { return a.sizes() == b.sizes() && at::allclose(a, b, 1e-10, 1e-10); }

}  // namespace

TEST_CASE("the matrices begin as PEFT's: A random within its bounds, B zero, so that nothing is added") {
  for (const Op& op : layers()) {
    CAPTURE(describe(op));
    const Node node{"x", op, {0}};
    at::Generator generator = seeded(1);
    const LoraLayer layer = start_lora(node, {1, kRank, 8, 2}, {}, generator);
    const LoraShapes shapes = lora_shapes(node, kRank);
    CHECK(layer.lora_A.sizes() == at::IntArrayRef(shapes.lora_A));
    CHECK(layer.lora_B.sizes() == at::IntArrayRef(shapes.lora_B));
    CHECK(layer.scaling == 2);
    const double bound = 1 / std::sqrt(static_cast<double>(layer.lora_A[0].numel()));
    CHECK(at::abs(layer.lora_A).max().item<double>() <= bound);
    CHECK(at::abs(layer.lora_A).max().item<double>() > bound / 2);
    const at::Tensor y = apply(op, {weight_for(op), {}, {}, {}}, input_for(op));
    const at::Tensor added = lora_forward(layer, op, input_for(op), false);
    CHECK(added.sizes() == y.sizes());
    CHECK(at::equal(added, at::zeros_like(y)));
  }
}

TEST_CASE("the Gaussian start has standard deviation 1 / r") {
  LoraConfig config;
  config.init_lora_weights = LoraStart::kGaussian;
  at::Generator generator = seeded(1);
  const LoraLayer layer = start_lora({"x", Linear{4000, 5}, {0}}, {1, kRank, 8, 2}, config, generator);
  CHECK(std::abs(layer.lora_A.std().item<double>() - 0.25) < 0.01);
  CHECK(at::equal(layer.lora_B, at::zeros_like(layer.lora_B)));
}

TEST_CASE("what is added is s · B(A(x)), with the layer's geometry in A and its groups in B") {
  const LoraLayer linear = trained(Linear{6, 5});
  const at::Tensor rows = input_for(Linear{6, 5});
  const at::Tensor product = at::matmul(at::matmul(rows, linear.lora_A.t()), linear.lora_B.t());
  CHECK(close(lora_forward(linear, Linear{6, 5}, rows, false), 0.75 * product));

  const Conv2d conv{.in = 4, .out = 6, .kernel = {3, 3}, .stride = {2, 1}, .padding = {2, 1}, .dilation = {2, 1}, .groups = 2};
  const LoraLayer grouped = trained(conv);
  CHECK(grouped.lora_A.sizes() == at::IntArrayRef{kRank, 4, 3, 3});
  CHECK(grouped.lora_B.sizes() == at::IntArrayRef{6, kRank / 2, 1, 1});
  const at::Tensor x = input_for(conv);
  const std::vector<std::int64_t> two_one{2, 1};
  const at::Tensor down = at::conv2d(x, grouped.lora_A, {}, two_one, two_one, two_one, 1);
  const auto half = [&](std::int64_t g) {  // the second half of B sees the second half of A's outputs only
    return at::conv2d(down.narrow(1, g * kRank / 2, kRank / 2), grouped.lora_B.narrow(0, g * 3, 3));
  };
  CHECK(close(lora_forward(grouped, conv, x, false), 0.75 * at::cat({half(0), half(1)}, 1)));
}

TEST_CASE("merged equals unmerged, for every layer that is not grouped") {
  for (const Op& op : layers()) {
    CAPTURE(describe(op));
    const Node node{"layer.x", op, {0}};
    const LoraLayer layer = trained(op);
    if (groups_of(op) != 1) {
      CHECK_THROWS_WITH_AS(lora_delta_weight(layer, node), doctest::Contains("layer.x with groups="), Error);
      continue;
    }
    const at::Tensor x = input_for(op);
    const NodeTensors base{weight_for(op), noise({weight_for(op).size(0)}, 7), {}, {}};
    const NodeTensors merged{base.weight + lora_delta_weight(layer, node), base.bias, {}, {}};
    CHECK(close(apply(op, merged, x), apply(op, base, x) + lora_forward(layer, op, x, false)));
  }
}

TEST_CASE("gradients are those of finite differences") {
  constexpr double kStep = 1e-4;
  for (const Op& op : layers()) {
    CAPTURE(describe(op));
    LoraLayer layer = trained(op);
    at::Tensor x = input_for(op);
    const at::Tensor direction = noise(lora_forward(layer, op, x, false).sizes(), 5);
    const auto loss = [&] { return (at::sin(lora_forward(layer, op, x, false)) * direction).sum(); };
    for (at::Tensor* tensor : {&layer.lora_A, &layer.lora_B, &x}) tensor->set_requires_grad(true);
    loss().backward();
    for (at::Tensor* tensor : {&layer.lora_A, &layer.lora_B, &x}) {
      const at::Tensor gradient = tensor->grad();
      at::Tensor flat = tensor->detach().view(-1);  // shares memory
      for (std::int64_t i = 0; i < flat.numel(); i += std::max<std::int64_t>(1, flat.numel() / 7)) {
        const double before = flat[i].item<double>();
        flat[i].fill_(before + kStep);
        const double above = loss().item<double>();
        flat[i].fill_(before - kStep);
        const double below = loss().item<double>();
        flat[i].fill_(before);
        CHECK(gradient.reshape(-1)[i].item<double>() == doctest::Approx((above - below) / (2 * kStep)).epsilon(1e-4));
      }
    }
  }
}

TEST_CASE("dropout acts on what enters A, in training only") {
  LoraLayer layer = trained(Linear{6, 5});
  const at::Tensor x = input_for(Linear{6, 5});
  const at::Tensor still = lora_forward(layer, Linear{6, 5}, x, false);
  CHECK(at::equal(lora_forward(layer, Linear{6, 5}, x, true), still));
  layer.dropout = 0.5;
  CHECK(at::equal(lora_forward(layer, Linear{6, 5}, x, false), still));
  CHECK_FALSE(at::allclose(lora_forward(layer, Linear{6, 5}, x, true), still));
  at::Tensor mean = at::zeros_like(still);
  for (int i = 0; i < 4000; ++i) mean += lora_forward(layer, Linear{6, 5}, x, true) / 4000;
  CHECK(at::allclose(mean, still, 0, 0.6));  // right on average
}

TEST_CASE("a rank that the groups do not divide is refused") {
  const Node node{"layer.x", Conv2d{.in = 6, .out = 6, .groups = 6}, {0}};
  CHECK_THROWS_WITH_AS(lora_shapes(node, 4), doctest::Contains("r: got 4 for layer.x with groups=6"), UsageError);
  CHECK((lora_shapes(node, 12).lora_B == std::vector<std::int64_t>{6, 2, 1, 1}));
}
