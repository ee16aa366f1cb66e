// Contract tests of LoRA on every type of layer, in float64, so that differences are errors rather than rounding.
#include "adapters/lora.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <doctest/doctest.h>

#include <cmath>

#include "adapters/layers.h"
#include "lorikeet/error.h"

using namespace lorikeet;

namespace {

constexpr std::int64_t kRank = 4;

// As if it had been trained: B not zero.
LoraLayer trained(const Op& op) {
  const LoraShapes shapes = lora_shapes({"x", op, {0}}, kRank);
  LoraLayer out{{noise(shapes.lora_A, 1), noise(shapes.lora_B, 2), 0.75, 0}, {}, {}, {}};
  out.crosses_groups = crosses_groups(out.lora_A, op, kRank);
  return out;
}

at::Generator any() { return seeded(1); }

}  // namespace

TEST_CASE("the matrices begin as PEFT's: A random within its bounds, B zero, so that nothing is added") {
  for (const auto& [kind, op, positions] : weighted_layers()) {
    CAPTURE(kind);
    const Node node{"x", op, {0}};
    at::Generator generator = any();
    const LoraLayer layer = start_lora(node, tensors_for(op).weight(), {1, kRank, 2}, {}, generator);
    const LoraShapes shapes = lora_shapes(node, kRank);
    CHECK(layer.lora_A.sizes() == at::IntArrayRef(shapes.lora_A));
    CHECK(layer.lora_B.sizes() == at::IntArrayRef(shapes.lora_B));
    CHECK(layer.scaling == 2);
    const double bound =
        1 / std::sqrt(static_cast<double>(layer.lora_A[0].numel() / groups_of(op)));  // of what is not zero
    CHECK(at::abs(layer.lora_A).max().item<double>() <= bound);
    CHECK(at::abs(layer.lora_A).max().item<double>() > bound / 2);
    const at::Tensor y = apply(op, tensors_for(op), input_for(op));
    const at::Tensor added = lora_forward(layer, op, input_for(op), false);
    CHECK(added.sizes() == y.sizes());
    CHECK(at::equal(added, at::zeros_like(y)));
  }
}

TEST_CASE("the Gaussian start has standard deviation 1 / r") {
  AdapterConfig config;
  config.init_lora_weights = LoraStart::kGaussian;
  at::Generator generator = any();
  const LoraLayer layer =
      start_lora({"x", Linear{4000, 5}, {0}}, at::zeros({5, 4000}), {1, kRank, 2}, config, generator);
  CHECK(std::abs(layer.lora_A.std().item<double>() - 0.25) < 0.01);
  CHECK(at::equal(layer.lora_B, at::zeros_like(layer.lora_B)));
}

TEST_CASE("what is added is s · B(A(x)), with the layer's geometry in A and its groups in B") {
  const LoraLayer linear = trained(Linear{6, 5});
  const at::Tensor rows = input_for(Linear{6, 5});
  const at::Tensor product = at::matmul(at::matmul(rows, linear.lora_A.t()), linear.lora_B.t());
  CHECK(close(lora_forward(linear, Linear{6, 5}, rows, false), 0.75 * product));

  const Conv2d conv{
      .in = 4, .out = 6, .kernel = {3, 3}, .stride = {2, 1}, .padding = {2, 1}, .dilation = {2, 1}, .groups = 2};
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

TEST_CASE("PEFT's adapter of a grouped convolution reaches across the groups: it runs, and is not merged") {
  for (const auto& [kind, op, positions] : weighted_layers()) {
    CAPTURE(kind);
    const Node node{"layer.x", op, {0}};
    const LoraLayer layer = trained(op);
    CHECK(layer.crosses_groups == (groups_of(op) > 1));
    if (groups_of(op) == 1) continue;
    CHECK_THROWS_WITH_AS(lora_delta_weight(layer, node), doctest::Contains("layer.x that crosses its groups="), Error);
    // The same sum by a convolution without groups.
    Conv2d dense = std::get<Conv2d>(op);
    dense.groups = 1;
    CHECK(close(conv2d(dense, input_for(op), lora_dense_delta_weight(layer, op), {}, 1),
                lora_forward(layer, op, input_for(op), false)));
  }
}

TEST_CASE("of a grouped convolution A is zero outside its group, and stays so in training") {
  const Conv2d conv{.in = 4, .out = 6, .kernel = {3, 3}, .groups = 2};
  at::Generator generator = any();
  LoraLayer layer =
      start_lora({"x", conv, {0}}, tensors_for(conv).weight().to(at::kFloat), {1, kRank, 2}, {}, generator);
  CHECK_FALSE(crosses_groups(layer.lora_A, conv, kRank));
  CHECK(at::count_nonzero(layer.lora_A).item<std::int64_t>() == layer.lora_A.numel() / 2);
  layer.lora_B.normal_(0, 1, generator);
  layer.lora_A.set_requires_grad(true);
  lora_forward(layer, conv, input_for(conv).to(at::kFloat), false).sum().backward();
  CHECK(at::count_nonzero(layer.lora_A.grad()).item<std::int64_t>() == layer.lora_A.numel() / 2);
  CHECK_FALSE(crosses_groups(layer.lora_A.grad(), conv, kRank));
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

TEST_CASE("the masks of dropout are a function of the seed, with torch.nn.Dropout's scale and share") {
  LoraLayer layer = trained(Linear{6, 5});
  layer.dropout = 0.25;
  const at::Tensor ones = at::ones({200, 100});
  CHECK(dropped(layer, ones, /*training=*/false).is_same(ones));
  const auto masks = [&](std::uint64_t seed) {
    layer.seed_dropout(seed);
    const at::Tensor first = dropped(layer, ones, true);
    return at::stack({first, dropped(layer, ones, true)});
  };
  const at::Tensor found = masks(7);
  CHECK(at::equal(masks(7), found));
  CHECK_FALSE(at::equal(masks(8), found));
  CHECK_FALSE(at::equal(found[0], found[1]));
  const at::Tensor kept = found.ne(0);
  CHECK(at::equal(found, kept.to(at::kFloat) / 0.75));
  CHECK(std::abs(kept.to(at::kFloat).mean().item<double>() - 0.75) < 0.01);
}

TEST_CASE("where the groups do not divide the rank, the weight's own matrix is adapted") {
  const Node node{"layer.x", Conv2d{.in = 6, .out = 6, .kernel = {3, 3}, .groups = 6}, {0}};
  CHECK((lora_shapes(node, 4).lora_A == std::vector<std::int64_t>{4, 1, 3, 3}));
  CHECK((lora_shapes(node, 4).lora_B == std::vector<std::int64_t>{6, 4, 1, 1}));
  CHECK((lora_shapes(node, 12).lora_A == std::vector<std::int64_t>{12, 6, 3, 3}));
  CHECK((lora_shapes(node, 12).lora_B == std::vector<std::int64_t>{6, 2, 1, 1}));
}

TEST_CASE("PiSSA takes the weight's largest directions, OLoRA the first of its QR decomposition; the base stays") {
  const at::Tensor weight = tensors_for(Linear{6, 5}).weight().to(at::kFloat);
  const at::Tensor before = weight.clone();
  const Node node{"x", Linear{6, 5}, {0}};
  AdapterConfig config;
  for (const LoraStart start : {LoraStart::kPissa, LoraStart::kOlora}) {
    config.init_lora_weights = start;
    at::Generator generator = any();
    const LoraLayer layer = start_lora(node, weight, {1, 2, 1.5}, config, generator);
    const at::Tensor product = at::mm(layer.lora_B, layer.lora_A);
    CHECK(at::linalg_matrix_rank(product, 1e-5).item<std::int64_t>() == 2);
    if (start == LoraStart::kPissa) {
      const at::Tensor S = at::linalg_svdvals(weight - 1.5 * product);  // what is left: the other three
      CHECK(at::allclose(S.slice(0, 0, 3), at::linalg_svdvals(weight).slice(0, 2, 5), 1e-4, 1e-4));
    } else {
      CHECK(at::allclose(at::mm(layer.lora_B.t(), layer.lora_B), at::eye(2), 1e-5, 1e-5));
      CHECK(at::allclose(at::mm(layer.lora_B.t(), weight), layer.lora_A, 1e-4, 1e-4));
    }
    CHECK(at::equal(weight, before));
  }
}

TEST_CASE("starts that a layer cannot have are refused, by its name") {
  AdapterConfig config;
  const auto refused = [&](const Op& op, std::int64_t rank, LoraStart start, const char* because) {
    config.init_lora_weights = start;
    at::Generator generator = any();
    CHECK_THROWS_WITH_AS(
        start_lora({"layer.x", op, {0}}, tensors_for(op).weight().to(at::kFloat), {1, rank, 2}, config, generator),
        doctest::Contains(because), UsageError);
  };
  refused(Linear{6, 5}, 6, LoraStart::kPissa, "r: got 6 for layer.x with init_lora_weights pissa, expected at most 5");
  refused(Linear{6, 5}, 6, LoraStart::kOlora, "r: got 6 for layer.x with init_lora_weights olora, expected at most 5");
  refused(Linear{6, 5}, 3, LoraStart::kOrthogonal,
          "r: got 3 for layer.x with init_lora_weights orthogonal, expected an even rank");
  refused(Conv2d{.in = 4, .out = 6, .kernel = {3, 3}, .groups = 2}, 3, LoraStart::kPissa,
          "layer.x with groups=2 and r=3");
}

TEST_CASE("saved, PiSSA and OLoRA are LoRA of twice the rank and the same scale") {
  AdapterConfig config;
  config.r = 4;
  config.lora_alpha = 6;
  config.rank_pattern = {{"a", 2}};
  config.alpha_pattern = {{"a", 5}};
  CHECK(saved_lora_config(config).r == 4);
  config.init_lora_weights = LoraStart::kPissa;
  const AdapterConfig saved = saved_lora_config(config);
  CHECK(saved.r == 8);
  CHECK(saved.lora_alpha == 12);
  CHECK((saved.rank_pattern == PatternTable{{"a", 4}}));
  CHECK((saved.alpha_pattern == PatternTable{{"a", 10}}));
  CHECK((saved.init_lora_weights == LoraStart::kDefault));
  config.use_rslora = true;
  CHECK(saved_lora_config(config).lora_alpha / std::sqrt(8.0) == doctest::Approx(6 / std::sqrt(4.0)));
}
