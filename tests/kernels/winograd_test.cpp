#include "kernels/winograd.h"

#include <ATen/Functions.h>
#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <doctest/doctest.h>

#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "graph/small_graphs.h"
#include "kernels/forced_target.h"
#include "kernels/frozen_conv.h"
#include "kernels/noise.h"

using namespace lorikeet;

namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

struct Layer {
  const char* what;
  std::int64_t images, in, out, height, width, top, left;
  std::int64_t out_height, out_width;

  WinogradShape shape() const { return {images, height, width, in, out_height, out_width, out, top, left}; }
};

const Layer kLayers[]{
    {"whole tiles", 2, 16, 32, 8, 12, 1, 1, 8, 12},
    {"tiles cut at both sides", 3, 48, 16, 7, 11, 1, 1, 7, 11},
    {"tiles short at the lower side", 3, 48, 16, 10, 8, 1, 1, 10, 8},
    {"tiles short at the right side", 3, 16, 48, 7, 13, 1, 1, 7, 13},
    {"tiles short at both sides", 5, 16, 48, 6, 9, 1, 1, 6, 9},
    {"short tiles only", 3, 16, 16, 2, 2, 1, 1, 2, 2},
    {"more than one block of tiles", 2, 64, 48, 30, 27, 1, 1, 30, 27},
    {"more channels than are read at once", 2, 80, 64, 14, 14, 1, 1, 14, 14},
    {"weights that all threads read together", 4, 320, 304, 7, 7, 1, 1, 7, 7},
    {"the same with short tiles", 4, 320, 304, 6, 6, 1, 1, 6, 6},
    {"no padding", 2, 16, 16, 6, 5, 0, 0, 4, 3},
    {"padding of 2, as for the gradient", 2, 16, 16, 4, 3, 2, 2, 6, 5},
    {"padding of more than the kernel", 1, 16, 16, 3, 5, 4, 3, 9, 9},
    {"a cropped input, as for the gradient of such padding", 1, 16, 16, 9, 9, -2, -1, 3, 5},
    {"one pixel", 1, 16, 16, 1, 1, 1, 1, 1, 1},
};

// Each layer with each instruction set.
void for_each_layer(const std::function<void(const Layer&)>& check) {
  for (const std::int64_t target : forced_targets()) {
    const ForcedTarget forced(target);
    CAPTURE(std::string(hwy::TargetName(target)));
    for (const Layer& layer : kLayers) {
      CAPTURE(std::string(layer.what));
      check(layer);
    }
  }
}

at::Tensor direct(const Layer& layer, const at::Tensor& x, const at::Tensor& weight) {
  const std::int64_t bottom = layer.out_height + 2 - layer.height - layer.top;
  const std::int64_t right = layer.out_width + 2 - layer.width - layer.left;
  return at::conv2d(at::constant_pad_nd(x.to(at::kDouble), {layer.left, right, layer.top, bottom}),
                    weight.to(at::kDouble));
}

}  // namespace

TEST_CASE("Winograd's convolution is the direct one, with each instruction set") {
  for_each_layer([](const Layer& layer) {
    const at::Tensor x = image_noise({layer.images, layer.in, layer.height, layer.width}, 1);
    const at::Tensor weight = image_noise({layer.out, layer.in, 3, 3}, 2);
    const at::Tensor y = winograd_conv(x, winograd_weights(weight), layer.shape());
    CHECK(y.is_contiguous(at::MemoryFormat::ChannelsLast));
    CHECK(relative(y.to(at::kDouble), direct(layer, x, weight)) < 2e-6);
  });
}

TEST_CASE("AVX2 and AVX-512 give the same bits, on any number of threads") {
  const int threads = at::get_num_threads();
  for (const Layer& layer : kLayers) {
    CAPTURE(std::string(layer.what));
    const at::Tensor x = image_noise({layer.images, layer.in, layer.height, layer.width}, 1);
    const at::Tensor weights = winograd_weights(image_noise({layer.out, layer.in, 3, 3}, 2));
    const at::Tensor y = winograd_conv(x, weights, layer.shape());
    for (const std::int64_t target : forced_targets()) {
      if (target == HWY_SCALAR) continue;  // without fused multiply-add
      const ForcedTarget forced(target);
      for (const int count : {1, 3}) {
        at::set_num_threads(count);
        const at::Tensor found = winograd_conv(x, weights, layer.shape());
        at::set_num_threads(threads);
        CHECK(at::equal(found, y));
      }
    }
  }
}

TEST_CASE("the weights of a convolution give its gradient too, with the bits of flipped filters' own") {
  for_each_layer([](const Layer& layer) {
    const at::Tensor weight = image_noise({layer.in, layer.out, 3, 3}, 2);  // of the opposite convolution
    const at::Tensor grad = image_noise({layer.images, layer.in, layer.height, layer.width}, 1);
    const at::Tensor flipped = winograd_weights(weight.transpose(0, 1).flip({2, 3}));
    const at::Tensor expected = winograd_conv(grad, flipped, layer.shape());
    const WinogradGradientWeights kWeights[]{{winograd_weights(weight)}, {flipped, /*are_flipped=*/true}};
    for (const WinogradGradientWeights& weights : kWeights) {
      CHECK(at::equal(winograd_gradient(grad, weights, layer.shape()), expected));
      const at::Tensor sum = image_noise(expected.sizes(), 3);
      const at::Tensor total = sum + expected;
      CHECK(winograd_gradient(grad, weights, layer.shape(), sum).is_same(sum));
      CHECK(at::equal(sum, total));
    }
  });
}

TEST_CASE("bias, residual, activation and what it keeps are those of the plain epilogue, with each instruction set") {
  const FusedActivation kActivations[]{
      {.clamp = {0, kInfinity}}, {.clamp = {0, 1}}, {}, {.smooth = SmoothActivation::kSilu}};
  for_each_layer([&](const Layer& layer) {
    const at::Tensor x = image_noise({layer.images, layer.in, layer.height, layer.width}, 1);
    const at::Tensor weights = winograd_weights(image_noise({layer.out, layer.in, 3, 3}, 2));
    const at::Tensor plain = winograd_conv(x, weights, layer.shape());
    const at::Tensor bias = image_noise({layer.out}, 3);
    const at::Tensor other = image_noise(plain.sizes(), 4);
    for (const FusedActivation& activation : kActivations) {
      for (const at::Tensor& residual : {at::Tensor(), other}) {
        for (const bool keeps : {false, true}) {
          const Epilogue after{bias, residual, activation};
          const at::Tensor expected = plain.clone();
          const at::Tensor expected_kept = apply_epilogue_(expected, after, keeps);
          at::Tensor kept;
          CHECK(at::equal(winograd_conv(x, weights, layer.shape(), &after, keeps ? &kept : nullptr), expected));
          REQUIRE(kept.defined() == expected_kept.defined());
          if (kept.defined()) CHECK(at::equal(kept, expected_kept));
        }
      }
    }
  });
}

TEST_CASE("in bfloat16, all but the images is float32, with each instruction set") {
  for_each_layer([](const Layer& layer) {
    const at::Tensor x = image_noise({layer.images, layer.in, layer.height, layer.width}, 1).to(at::kBFloat16);
    const at::Tensor weight = image_noise({layer.out, layer.in, 3, 3}, 2);
    const at::Tensor weights = winograd_weights(weight);
    const at::Tensor bias = image_noise({layer.out}, 3);
    const at::Tensor other =
        image_noise({layer.images, layer.out, layer.out_height, layer.out_width}, 4).to(at::kBFloat16);
    const auto run = [&](at::ScalarType type, const at::Tensor& residual, at::Tensor& kept) {
      const Epilogue after{bias, residual.defined() ? residual.to(type) : residual, {{0, kInfinity}}};
      return winograd_conv(x.to(type), weights, layer.shape(), &after, &kept);
    };
    for (const at::Tensor& residual : {at::Tensor(), other}) {
      at::Tensor kept, expected_kept;
      const at::Tensor expected = run(at::kFloat, residual, expected_kept).to(at::kBFloat16);
      CHECK(at::equal(run(at::kBFloat16, residual, kept), expected));
      CHECK(at::equal(kept, expected_kept));
    }
    if (layer.in != layer.out) return;
    CHECK(at::equal(winograd_gradient(x, {weights}, layer.shape()),
                    winograd_gradient(x.to(at::kFloat), {weights}, layer.shape()).to(at::kBFloat16)));
  });
}

TEST_CASE("a value that is no number stays one") {
  const WinogradShape shape{1, 4, 4, 16, 4, 4, 16, 1, 1};
  at::Tensor x = image_noise({1, 16, 4, 4}, 1);
  x[0][3][2][2] = std::numeric_limits<float>::quiet_NaN();
  const Epilogue relu{at::zeros({16}), {}, {{0, kInfinity}}};
  const at::Tensor weights = winograd_weights(image_noise({16, 16, 3, 3}, 2));
  for (const std::int64_t target : forced_targets()) {
    const ForcedTarget forced(target);
    for (const at::ScalarType type : {at::kFloat, at::kBFloat16})
      CHECK(at::isnan(winograd_conv(x.to(type), weights, shape, &relu)).all().item<bool>());
  }
}

TEST_CASE("Winograd is chosen where it pays") {
  const int threads = at::get_num_threads();
  at::set_num_threads(2);
  const auto way = [](const Conv2d& conv, std::int64_t images, Pair size, at::ScalarType type = at::kFloat) {
    return FrozenConv::strategy_for(conv, at::dtype(type), images, size);
  };
  const auto gradient_way = [](const Conv2d& conv, std::int64_t images, Pair size) {
    return FrozenConv::strategy_for(conv, at::dtype(at::kFloat), images, size, ConvDirection::kGradient);
  };
  const auto square = [](std::int64_t channels) {
    return Conv2d{.in = channels, .out = channels, .kernel = {3, 3}, .padding = {1, 1}};
  };
  if (has_winograd()) {
    CHECK(way(square(64), 1, {56, 56}) == ConvStrategy::kWinograd);
    CHECK(way(square(128), 32, {28, 28}) == ConvStrategy::kWinograd);
    CHECK(way(square(256), 32, {14, 14}) == ConvStrategy::kWinograd);
    CHECK(way(square(512), 32, {7, 7}) == ConvStrategy::kWinograd);
    CHECK(gradient_way(square(512), 32, {7, 7}) == ConvStrategy::kWinograd);
    CHECK(way(square(512), 4, {7, 7}) == ConvStrategy::kWinograd);
  }
  CHECK(gradient_way(square(512), 4, {7, 7}) != ConvStrategy::kWinograd);  // packing its weights takes longer
  CHECK(way(square(512), 1, {7, 7}) != ConvStrategy::kWinograd);           // even reading them does
  CHECK(way(square(256), 32, {2, 2}) == ConvStrategy::kDenseGemm);
  CHECK(way(square(24), 32, {28, 28}) != ConvStrategy::kWinograd);
  CHECK(way(square(64), 32, {56, 56}, at::kHalf) != ConvStrategy::kWinograd);
#if defined(__x86_64__) && defined(__GNUC__)
  if (has_winograd()) {
    // Direct products are twice as fast in bfloat16, and many times as fast with AMX.
    const bool has_amx = __builtin_cpu_supports("amx-bf16") != 0;
    CHECK((way(square(64), 32, {56, 56}, at::kBFloat16) == ConvStrategy::kWinograd) == !has_amx);
    CHECK(way(square(512), 4, {7, 7}, at::kBFloat16) != ConvStrategy::kWinograd);
  }
#endif
  Conv2d other = square(64);
  other.stride = {2, 2};
  CHECK(way(other, 32, {56, 56}) != ConvStrategy::kWinograd);
  other = square(64);
  other.dilation = other.padding = {2, 2};
  CHECK(way(other, 32, {56, 56}) != ConvStrategy::kWinograd);
  other = square(64);
  other.groups = 2;
  CHECK(way(other, 32, {56, 56}) != ConvStrategy::kWinograd);
  at::set_num_threads(threads);
}

TEST_CASE("a frozen convolution by Winograd and its gradient are the direct ones") {
  if (!has_winograd()) return;
  const int threads = at::get_num_threads();
  at::set_num_threads(1);  // on which the choice depends
  struct Frozen {
    Pair padding;
    std::int64_t in;
    int forms;  // of the weights, for both directions
  };
  for (const auto& [padding, in, forms] :
       {Frozen{{1, 1}, 64, 2}, Frozen{{0, 0}, 64, 2}, Frozen{{2, 1}, 64, 2}, Frozen{{4, 3}, 1120, 1}}) {
    CAPTURE(padding[0]);
    const Conv2d conv{.in = in, .out = 80, .kernel = {3, 3}, .padding = padding};
    const at::Tensor weight = image_noise({80, in, 3, 3}, 1);
    const at::Tensor scale = image_noise({80}, 2).abs() + 0.5;
    const at::Tensor x = image_noise({6, in, 23, 17}, 3);
    REQUIRE(FrozenConv::strategy_for(conv, weight.options(), 6, {23, 17}) == ConvStrategy::kWinograd);
    const at::Tensor wide = x.to(at::kDouble).requires_grad_();
    const at::Tensor wide_weight = (weight * scale.view({-1, 1, 1, 1})).to(at::kDouble);
    const at::Tensor expected = at::conv2d(wide, wide_weight, {}, 1, padding);
    const at::Tensor grad = image_noise(expected.sizes(), 4);
    expected.backward(grad.to(at::kDouble));
    const FrozenConv frozen(conv, weight, scale, at::kFloat);
    CHECK(relative(frozen.forward(x).to(at::kDouble), expected.detach()) < 4e-6);
    CHECK(relative(frozen.input_gradient(grad, {23, 17}).to(at::kDouble), wide.grad()) < 4e-6);

    const Epilogue relu{image_noise({80}, 5), image_noise(expected.sizes(), 6), {{0, kInfinity}}};
    const at::Tensor finished = frozen.forward(x);
    const at::Tensor expected_kept = apply_epilogue_(finished, relu, /*keeps=*/true);
    at::Tensor kept;
    CHECK(at::equal(frozen.forward(x, relu, &kept), finished));
    CHECK(at::equal(kept, expected_kept));
    CHECK(frozen.bytes() == static_cast<std::uint64_t>(forms * 36 * in * 80) * sizeof(float));
    CHECK(frozen.bytes() ==
          FrozenConv::packed_bytes(conv, weight.options(), 6, {23, 17}, ConvDirection::kForward) +
              FrozenConv::packed_bytes(conv, weight.options(), 6, {23, 17}, ConvDirection::kGradient));
  }
  at::set_num_threads(threads);
}
