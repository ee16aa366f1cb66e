#include "kernels/depthwise.h"

#include <ATen/Functions.h>
#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <doctest/doctest.h>

#include <functional>
#include <limits>
#include <string>

#include "graph/small_graphs.h"
#include "kernels/forced_target.h"
#include "kernels/frozen_conv.h"
#include "kernels/noise.h"

using namespace lorikeet;

namespace {

struct Depthwise {
  const char* what;
  DepthwiseShape shape;

  at::Tensor x() const { return image_noise({shape.images, shape.channels, shape.height, shape.width}, 1); }
  at::Tensor grad() const { return image_noise({shape.images, shape.channels, shape.out_height, shape.out_width}, 2); }
  at::Tensor weight() const { return image_noise({shape.channels, 1, shape.kernel, shape.kernel}, 3); }

  // By ATen, in float64.
  at::Tensor direct(const at::Tensor& wide) const {
    const std::int64_t bottom = (shape.out_height - 1) * shape.stride + shape.kernel - shape.height - shape.top;
    const std::int64_t right = (shape.out_width - 1) * shape.stride + shape.kernel - shape.width - shape.left;
    const Pair stride{shape.stride, shape.stride}, padding{0, 0}, dilation{1, 1};
    return at::conv2d(at::constant_pad_nd(wide, {shape.left, right, shape.top, bottom}), weight().to(at::kDouble), {},
                      stride, padding, dilation, shape.channels);
  }
};

// images, channels, height, width, out_height, out_width, kernel, stride, top, left
const Depthwise kDepthwise[]{
    {"3×3", {2, 32, 14, 14, 14, 14, 3, 1, 1, 1}},
    {"5×5 of odd sides", {2, 16, 9, 17, 9, 17, 5, 1, 2, 2}},
    {"7×7", {2, 48, 15, 8, 15, 8, 7, 1, 3, 3}},
    {"channels that fill no whole vector", {2, 24, 6, 5, 6, 5, 3, 1, 1, 1}},
    {"the same, of two vectors and a half", {2, 40, 7, 7, 7, 7, 5, 1, 2, 2}},
    {"stride 2 on even sides", {3, 16, 16, 30, 8, 15, 3, 2, 1, 1}},
    {"stride 2 on odd sides", {3, 24, 15, 29, 8, 15, 5, 2, 2, 2}},
    {"stride 2 with one row more after than before", {2, 32, 14, 28, 7, 14, 3, 2, 0, 0}},
    {"5×5 of the same kind", {2, 72, 28, 14, 14, 7, 5, 2, 1, 1}},
    {"7×7 of stride 2", {1, 16, 19, 22, 10, 11, 7, 2, 3, 3}},
    {"no padding", {2, 16, 6, 9, 4, 7, 3, 1, 0, 0}},
    {"rows that no window of stride 2 reads", {2, 16, 8, 6, 3, 2, 3, 2, 0, 0}},
    {"unequal padding", {2, 16, 6, 9, 8, 8, 3, 1, 3, 0}},
    {"padding of more than the kernel", {1, 16, 3, 5, 9, 9, 3, 1, 4, 3}},
    {"one pixel", {1, 16, 1, 1, 1, 1, 5, 1, 2, 2}},
    {"two pixels and stride 2", {4, 16, 2, 2, 1, 1, 5, 2, 2, 2}},
    {"no image", {0, 16, 4, 4, 4, 4, 3, 1, 1, 1}},
};

// Each layer with each instruction set.
void for_each_depthwise(const std::function<void(const Depthwise&)>& check) {
  for (const std::int64_t target : forced_targets()) {
    const ForcedTarget forced(target);
    CAPTURE(std::string(hwy::TargetName(target)));
    for (const Depthwise& layer : kDepthwise) {
      CAPTURE(std::string(layer.what));
      check(layer);
    }
  }
}

// Within rounding, also if there are no elements.
void check_close(const at::Tensor& found, const at::Tensor& expected) {
  CHECK(found.is_contiguous(at::MemoryFormat::ChannelsLast));
  REQUIRE(found.sizes() == expected.sizes());
  CHECK((found.to(at::kDouble) - expected).norm().item<double>() <= 5e-7 * expected.norm().item<double>());
}

}  // namespace

TEST_CASE("a depthwise convolution and its gradient are ATen's, with each instruction set") {
  for_each_depthwise([](const Depthwise& layer) {
    const at::Tensor weights = depthwise_weights(layer.weight());
    const at::Tensor wide = layer.x().to(at::kDouble).requires_grad_();
    const at::Tensor expected = layer.direct(wide);
    expected.backward(layer.grad().to(at::kDouble));
    check_close(depthwise_conv(layer.x(), weights, layer.shape), expected.detach());
    check_close(depthwise_gradient(layer.grad(), weights, layer.shape), wide.grad());
  });
}

TEST_CASE("a depthwise gradient through a mask is that of the masked gradient") {
  for_each_depthwise([](const Depthwise& layer) {
    const at::Tensor weights = depthwise_weights(layer.weight());
    const FusedActivation relu{.clamp = {0, 1}};
    const at::Tensor mask = apply_epilogue_(layer.grad(), {at::zeros({layer.shape.channels}), {}, relu}, true);
    const at::Tensor masked = activation_gradient(layer.grad(), mask, relu);
    CHECK(at::equal(depthwise_gradient(layer.grad(), weights, layer.shape, mask),
                    depthwise_gradient(masked, weights, layer.shape)));
  });
}

TEST_CASE("bias, residual, activation and mask are those of the plain epilogue, with each instruction set") {
  const FusedActivation kActivations[]{{.clamp = {0, std::numeric_limits<float>::infinity()}},
                                       {.clamp = {0, 1}},
                                       {},
                                       {.smooth = SmoothActivation::kHardSwish}};
  for_each_depthwise([&](const Depthwise& layer) {
    const at::Tensor weights = depthwise_weights(layer.weight());
    const at::Tensor plain = depthwise_conv(layer.x(), weights, layer.shape);
    for (const FusedActivation& activation : kActivations) {
      for (const at::Tensor& residual : {at::Tensor(), layer.grad()}) {
        for (const bool keeps : {false, true}) {
          const Epilogue after{image_noise({layer.shape.channels}, 4), residual, activation};
          const at::Tensor expected = plain.clone();
          const at::Tensor expected_kept = apply_epilogue_(expected, after, keeps);
          at::Tensor kept;
          CHECK(at::equal(depthwise_conv(layer.x(), weights, layer.shape, &after, keeps ? &kept : nullptr), expected));
          REQUIRE(kept.defined() == expected_kept.defined());
          if (kept.defined()) CHECK(at::equal(kept, expected_kept));
        }
      }
    }
  });
}

TEST_CASE("in bfloat16, all of it is computed in float32 and rounded once") {
  for_each_depthwise([](const Depthwise& layer) {
    const at::Tensor weights = depthwise_weights(layer.weight());
    const at::Tensor x = layer.x().to(at::kBFloat16), grad = layer.grad().to(at::kBFloat16);
    const FusedActivation relu{.clamp = {0, 1}};
    const at::Tensor bias = image_noise({layer.shape.channels}, 4);
    const Epilogue after{bias, grad, relu}, wide_after{bias, grad.to(at::kFloat), relu};
    at::Tensor kept, wide_kept;
    const at::Tensor y = depthwise_conv(x, weights, layer.shape, &after, &kept);
    CHECK(at::equal(y, depthwise_conv(x.to(at::kFloat), weights, layer.shape, &wide_after, &wide_kept).to(x.dtype())));
    CHECK(at::equal(kept, wide_kept));
    CHECK(at::equal(depthwise_gradient(grad, weights, layer.shape, kept),
                    depthwise_gradient(grad.to(at::kFloat), weights, layer.shape, kept).to(x.dtype())));
  });
}

TEST_CASE("depthwise convolutions by AVX2 and AVX-512 have the same bits, on any number of threads") {
  const int threads = at::get_num_threads();
  for (const Depthwise& layer : kDepthwise) {
    CAPTURE(std::string(layer.what));
    const at::Tensor weights = depthwise_weights(layer.weight());
    const at::Tensor y = depthwise_conv(layer.x(), weights, layer.shape);
    const at::Tensor to_x = depthwise_gradient(layer.grad(), weights, layer.shape);
    for (const std::int64_t target : forced_targets()) {
      if (target == HWY_SCALAR) continue;  // without fused multiply-add
      const ForcedTarget forced(target);
      for (const int count : {1, 3}) {
        at::set_num_threads(count);
        CHECK(at::equal(depthwise_conv(layer.x(), weights, layer.shape), y));
        CHECK(at::equal(depthwise_gradient(layer.grad(), weights, layer.shape), to_x));
        at::set_num_threads(threads);
      }
    }
  }
}

TEST_CASE("a depthwise convolution keeps a value that is no number, in both types") {
  const DepthwiseShape shape{1, 16, 3, 3, 3, 3, 3, 1, 1, 1};
  at::Tensor x = image_noise({1, 16, 3, 3}, 1);
  x[0][5][1][1] = std::numeric_limits<float>::quiet_NaN();
  const at::Tensor weights = depthwise_weights(image_noise({16, 1, 3, 3}, 2));
  const Epilogue relu{at::zeros({16}), {}, {.clamp = {0, 6}}};
  for (const std::int64_t target : forced_targets()) {
    const ForcedTarget forced(target);
    for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
      const at::Tensor y = depthwise_conv(x.to(type), weights, shape, &relu);
      CHECK(at::isnan(y.select(1, 5)).all().item<bool>());
      CHECK(at::isnan(y).sum().item<std::int64_t>() == 9);
    }
  }
}

TEST_CASE("the depthwise kernel is chosen for what it computes") {
  if (!has_depthwise()) return;
  const Conv2d good{.in = 24, .out = 24, .kernel = {5, 5}, .stride = {2, 2}, .groups = 24, .same_padding = true};
  const auto way = [](const Conv2d& conv, at::ScalarType type = at::kFloat) {
    return FrozenConv::strategy_for(conv, at::dtype(type), 2, {14, 14});
  };
  CHECK(way(good) == ConvStrategy::kDepthwise);
  CHECK(way(good, at::kBFloat16) == ConvStrategy::kDepthwise);
  const auto is_declined = [&](void (*change)(Conv2d&)) {
    Conv2d conv = good;
    change(conv);
    return way(conv) != ConvStrategy::kDepthwise;
  };
  CHECK(is_declined([](Conv2d& conv) { conv.in = conv.out = conv.groups = 20; }));
  CHECK(is_declined([](Conv2d& conv) { conv.in = conv.out = conv.groups = 8; }));
  CHECK(is_declined([](Conv2d& conv) { conv.groups = 12; }));
  CHECK(is_declined([](Conv2d& conv) { conv.out = 48; }));
  CHECK(is_declined([](Conv2d& conv) { conv.kernel = {4, 4}; }));
  CHECK(is_declined([](Conv2d& conv) { conv.kernel = {3, 5}; }));
  CHECK(is_declined([](Conv2d& conv) { conv.stride = {2, 1}; }));
  CHECK(is_declined([](Conv2d& conv) { conv.stride = {3, 3}; }));
  CHECK(is_declined([](Conv2d& conv) { conv.dilation = {2, 2}; }));
  CHECK(way(good, at::kDouble) != ConvStrategy::kDepthwise);
}

TEST_CASE("a frozen depthwise convolution, its gradients and the bytes of its weights") {
  if (!has_depthwise()) return;
  for (const bool same : {false, true}) {
    const Conv2d conv{
        .in = 24, .out = 24, .kernel = {5, 5}, .stride = {2, 2}, .padding = {2, 1}, .groups = 24, .same_padding = same};
    const at::Tensor weight = image_noise({24, 1, 5, 5}, 1);
    const at::Tensor scale = image_noise({24}, 2).abs() + 0.5;
    const at::Tensor x = image_noise({3, 24, 14, 18}, 3).requires_grad_();
    const at::Tensor expected = conv2d(conv, x, weight * scale.view({-1, 1, 1, 1}), {}, conv.groups);
    const at::Tensor grad = image_noise(expected.sizes(), 4);
    expected.backward(grad);
    const FrozenConv frozen(conv, weight, scale, at::kFloat);
    CHECK(relative(frozen.forward(x.detach()), expected.detach()) < 1e-6);
    CHECK(relative(frozen.input_gradient(grad, {14, 18}), x.grad()) < 1e-6);

    const FusedActivation relu6{.clamp = {0, 6}};
    at::Tensor kept;
    frozen.forward(x.detach(), {image_noise({24}, 5), {}, relu6}, &kept);
    CHECK(at::equal(frozen.input_gradient({grad, kept, relu6}, {14, 18}),
                    frozen.input_gradient(activation_gradient(grad, kept, relu6), {14, 18})));
    const auto bytes = [&](at::ScalarType type, ConvDirection direction) {
      return FrozenConv::packed_bytes(conv, at::dtype(type), 3, {14, 18}, direction);
    };
    CHECK(frozen.bytes() == 24 * 25 * sizeof(float));
    CHECK(bytes(at::kFloat, ConvDirection::kForward) == frozen.bytes());
    CHECK(bytes(at::kBFloat16, ConvDirection::kForward) == frozen.bytes());
    CHECK(bytes(at::kFloat, ConvDirection::kGradient) == 0);
  }
}
