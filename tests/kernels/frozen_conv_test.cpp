#include "kernels/frozen_conv.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <doctest/doctest.h>

#include <limits>
#include <thread>

#include "graph/small_graphs.h"
#include "kernels/winograd_simd.h"

using namespace lorikeet;

namespace {

struct Case {
  std::string what;
  Conv2d conv;
  std::int64_t height;
  std::int64_t width;
  ConvStrategy way;
};

using ConvStrategy = ConvStrategy;

const Case kCases[]{
    {"1×1", {.in = 5, .out = 7}, 6, 3, ConvStrategy::kPointwiseGemm},
    {"1×1 of stride 2 on odd and even sides",
     {.in = 5, .out = 7, .stride = {2, 2}},
     7,
     4,
     ConvStrategy::kPointwiseGemm},
    {"1×1 of unequal strides", {.in = 5, .out = 7, .stride = {1, 3}}, 4, 7, ConvStrategy::kPointwiseGemm},
    {"3×3 on one pixel", {.in = 5, .out = 7, .kernel = {3, 3}, .padding = {1, 1}}, 1, 1, ConvStrategy::kDenseGemm},
    {"3×3 on two by two pixels",
     {.in = 5, .out = 7, .kernel = {3, 3}, .padding = {1, 1}},
     2,
     2,
     ConvStrategy::kDenseGemm},
    {"3×3 of stride 2 on two by two pixels",
     {.in = 5, .out = 7, .kernel = {3, 3}, .stride = {2, 2}, .padding = {1, 1}},
     2,
     2,
     ConvStrategy::kDenseGemm},
    {"5×5 on two by three pixels",
     {.in = 4, .out = 2, .kernel = {5, 5}, .padding = {2, 2}},
     2,
     3,
     ConvStrategy::kDenseGemm},
    {"dilated 3×3 on two by two pixels",
     {.in = 5, .out = 7, .kernel = {3, 3}, .padding = {2, 2}, .dilation = {2, 2}},
     2,
     2,
     ConvStrategy::kDenseGemm},
    {"SAME of stride 2 on two by two pixels",
     {.in = 3, .out = 4, .kernel = {3, 3}, .stride = {2, 2}, .same_padding = true},
     2,
     2,
     ConvStrategy::kDenseGemm},
    {"3×3", {.in = 5, .out = 7, .kernel = {3, 3}, .padding = {1, 1}}, 6, 5, ConvStrategy::kPacked},
    {"3×3 without padding", {.in = 5, .out = 7, .kernel = {3, 3}}, 6, 5, ConvStrategy::kPacked},
    {"3×3 padded by more than it reaches",
     {.in = 5, .out = 7, .kernel = {3, 3}, .padding = {4, 3}},
     6,
     5,
     ConvStrategy::kPacked},
    {"3×3 of stride 2",
     {.in = 5, .out = 7, .kernel = {3, 3}, .stride = {2, 2}, .padding = {1, 1}},
     7,
     6,
     ConvStrategy::kPacked},
    {"3×5 of unequal everything",
     {.in = 6, .out = 4, .kernel = {3, 5}, .stride = {1, 1}, .padding = {1, 3}, .dilation = {2, 1}},
     9,
     8,
     ConvStrategy::kPacked},
    {"grouped", {.in = 6, .out = 9, .kernel = {3, 3}, .padding = {1, 1}, .groups = 3}, 6, 5, ConvStrategy::kPacked},
    {"grouped 1×1", {.in = 6, .out = 9, .groups = 3}, 6, 5, ConvStrategy::kPacked},
    {"grouped on one pixel",
     {.in = 6, .out = 9, .kernel = {3, 3}, .padding = {1, 1}, .groups = 3},
     1,
     1,
     ConvStrategy::kPacked},
    {"depthwise", {.in = 8, .out = 8, .kernel = {3, 3}, .padding = {1, 1}, .groups = 8}, 6, 5, ConvStrategy::kPacked},
    {"depthwise of stride 2 with uneven SAME",
     {.in = 8, .out = 8, .kernel = {3, 3}, .stride = {2, 2}, .groups = 8, .same_padding = true},
     6,
     8,
     ConvStrategy::kPacked},
    {"5×5 of stride 1 with uneven SAME",
     {.in = 3, .out = 4, .kernel = {4, 4}, .same_padding = true},
     6,
     8,
     ConvStrategy::kPacked},
};

at::Tensor noise(at::IntArrayRef shape, std::uint64_t seed) {
  at::Generator generator = seeded(seed);
  return at::empty(shape).normal_(0, 1, generator);
}

}  // namespace

TEST_CASE("a frozen convolution and its gradient are ATen's, however it runs") {
  for (const Case& c : kCases) {
    CAPTURE(c.what);
    const at::Tensor weight = noise({c.conv.out, c.conv.in / c.conv.groups, c.conv.kernel[0], c.conv.kernel[1]}, 1);
    CHECK(FrozenConv::strategy_for(c.conv, weight.options(), /*images=*/3, {c.height, c.width}) == c.way);
    const at::Tensor scale = noise({c.conv.out}, 4).abs() + 0.5;
    FrozenConv conv(c.conv, weight, scale, at::kFloat);
    for (const std::int64_t images : {3, 1}) {
      const at::Tensor x =
          noise({images, c.conv.in, c.height, c.width}, 2).contiguous(at::MemoryFormat::ChannelsLast).requires_grad_();
      const at::Tensor expected = conv2d(c.conv, x, weight * scale.view({-1, 1, 1, 1}), {}, c.conv.groups);
      const at::Tensor grad = noise(expected.sizes(), 3).contiguous(at::MemoryFormat::ChannelsLast);
      expected.backward(grad);

      const at::Tensor y = conv.forward(x.detach());
      CHECK(relative(y, expected.detach()) < 1e-5);
      CHECK(y.is_contiguous(at::MemoryFormat::ChannelsLast));
      const at::Tensor own = conv.input_gradient(grad, {c.height, c.width});
      CHECK(relative(own, x.grad()) < 1e-5);
      CHECK(own.is_contiguous(at::MemoryFormat::ChannelsLast));
      const at::Tensor sum = noise(x.sizes(), 7).contiguous(at::MemoryFormat::ChannelsLast);
      const at::Tensor total = sum + x.grad();
      CHECK(conv.input_gradient(grad, {c.height, c.width}, sum).is_alias_of(sum));
      CHECK(relative(sum, total) < 1e-5);

      const at::Tensor bias = noise({c.conv.out}, 5);
      const at::Tensor other = noise(expected.sizes(), 6).contiguous(at::MemoryFormat::ChannelsLast);
      const FusedActivation kActivations[]{{.clamp = {0, std::numeric_limits<float>::infinity()}},
                                           {.clamp = {0, 1}},
                                           {},
                                           {.smooth = SmoothActivation::kGelu},
                                           {.smooth = SmoothActivation::kGeluTanh},
                                           {.smooth = SmoothActivation::kSilu},
                                           {.smooth = SmoothActivation::kHardSwish}};
      for (std::size_t i = 0; i < 2 * std::size(kActivations); ++i) {
        const Epilogue after{bias, i % 2 == 0 ? at::Tensor() : other, kActivations[i / 2]};
        CAPTURE(i);
        const at::Tensor finished = expected.detach().contiguous(at::MemoryFormat::ChannelsLast).clone();
        apply_epilogue_(finished, after, /*keeps=*/false);
        CHECK(relative(conv.forward(x.detach(), after), finished) < 1e-5);
        if (!after.residual.defined()) continue;
        const Epilogue over{bias, other.clone(), after.activation};
        const at::Tensor in_place = conv.forward_over_residual(x.detach(), over);
        CHECK(relative(in_place, finished) < 1e-5);
        CHECK(in_place.is_alias_of(over.residual) == (c.way == ConvStrategy::kPointwiseGemm));
      }
    }
  }
}

TEST_CASE("every image size runs on one object") {
  const Conv2d conv{.in = 4, .out = 4, .kernel = {3, 3}, .padding = {1, 1}};
  const at::Tensor weight = noise({4, 4, 3, 3}, 1);
  FrozenConv frozen(conv, weight, at::ones({4}), at::kFloat);
  for (const std::int64_t side : {1, 6, 2, 1, 5}) {
    CAPTURE(side);
    const at::Tensor x = noise({2, 4, side, side}, 2).contiguous(at::MemoryFormat::ChannelsLast);
    CHECK(relative(frozen.forward(x), conv2d(conv, x, weight, {}, 1)) < 1e-5);
  }
}

namespace {

// Convolutions as wide as real ones: oneDNN packs them in layouts that depend on the number of images.
const Case kWide[]{
    {"1×1", {.in = 256, .out = 64}, 7, 7, ConvStrategy::kPointwiseGemm},
    {"1×1 on one pixel", {.in = 512, .out = 512}, 1, 1, ConvStrategy::kPointwiseGemm},
    {"1×1 of stride 2", {.in = 64, .out = 128, .stride = {2, 2}}, 7, 7, ConvStrategy::kPointwiseGemm},
    {"3×3", {.in = 64, .out = 72, .kernel = {3, 3}, .padding = {1, 1}}, 7, 7, ConvStrategy::kPacked},
    {"3×3 by Winograd", {.in = 64, .out = 64, .kernel = {3, 3}, .padding = {1, 1}}, 7, 7, ConvStrategy::kWinograd},
    {"3×3 of stride 2",
     {.in = 64, .out = 64, .kernel = {3, 3}, .stride = {2, 2}, .padding = {1, 1}},
     7,
     7,
     ConvStrategy::kPacked},
    {"3×3 on one pixel", {.in = 512, .out = 512, .kernel = {3, 3}, .padding = {1, 1}}, 1, 1, ConvStrategy::kDenseGemm},
};

// All that a convolution computes for some images.
struct Results {
  at::Tensor plain, finished, gradient;

  bool operator==(const Results& other) const {
    return at::equal(plain, other.plain) && at::equal(finished, other.finished) && at::equal(gradient, other.gradient);
  }
};

Results run(const FrozenConv& conv, const Case& c, std::int64_t images) {
  const at::Tensor x = noise({images, c.conv.in, c.height, c.width}, 2).contiguous(at::MemoryFormat::ChannelsLast);
  const at::Tensor y = conv.forward(x);
  const Epilogue relu{noise({c.conv.out}, 5), y, {0, std::numeric_limits<float>::infinity()}};
  return {y, conv.forward(x, relu), conv.input_gradient(y, {c.height, c.width})};
}

}  // namespace

TEST_CASE("what a convolution gives depends on the batch alone, not on what was packed before") {
  for (const Case& c : kWide) {
    CAPTURE(c.what);
    const at::Tensor weight = noise({c.conv.out, c.conv.in, c.conv.kernel[0], c.conv.kernel[1]}, 1);
    if (c.way != ConvStrategy::kWinograd || has_winograd())
      CHECK(FrozenConv::strategy_for(c.conv, weight.options(), /*images=*/100, {c.height, c.width}) == c.way);
    const at::Tensor scale = at::ones({c.conv.out});
    const FrozenConv shared(c.conv, weight, scale, at::kFloat);
    std::uint64_t most = 0;
    for (const std::int64_t images : {100, 50, 1, 100, 3, 16, 64, 7, 1, 50, 100}) {
      CAPTURE(images);
      const FrozenConv fresh(c.conv, weight, scale, at::kFloat);
      CHECK(run(shared, c, images) == run(fresh, c, images));
      most = std::max(most, fresh.bytes());
      CHECK(shared.bytes() <= Packings::kKept * most);
    }
  }
}

TEST_CASE("threads that share a convolution get what one gets alone") {
  for (const Case& c : kWide) {
    CAPTURE(c.what);
    const at::Tensor weight = noise({c.conv.out, c.conv.in, c.conv.kernel[0], c.conv.kernel[1]}, 1);
    const std::int64_t images[]{32, 5};
    const FrozenConv alone(c.conv, weight, at::ones({c.conv.out}), at::kFloat);
    const std::vector<Results> expected{run(alone, c, images[0]), run(alone, c, images[1])};
    const FrozenConv shared(c.conv, weight, at::ones({c.conv.out}), at::kFloat);
    bool same[4]{};
    std::vector<std::thread> threads;
    for (std::size_t i = 0; i < 4; ++i) {
      threads.emplace_back([&, i] {
        const std::size_t which = i % 2;
        same[i] = run(shared, c, images[which]) == expected[which] &&
                  run(shared, c, images[1 - which]) == expected[1 - which];
      });
    }
    for (std::thread& thread : threads) thread.join();
    for (const bool each : same) CHECK(each);
  }
}
