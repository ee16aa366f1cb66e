#include "graph/reference.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <doctest/doctest.h>

#include <vector>

#include "graph/small_graphs.h"

using namespace lorikeet;

namespace {

using Ints = std::vector<std::int64_t>;

at::Tensor noise(at::IntArrayRef shape, std::uint64_t seed = 1) {
  at::Generator generator = seeded(seed);
  return at::empty(shape, at::kDouble).normal_(0, 1, generator);
}

bool close(const at::Tensor& a, const at::Tensor& b) {
  return a.sizes() == b.sizes() && at::allclose(a, b, 1e-10, 1e-10);
}

}  // namespace

TEST_CASE("SAME padding goes below and to the right first, as TensorFlow puts it") {
  const at::Tensor x = at::arange(16, at::kDouble).reshape({1, 1, 4, 4});
  const Conv2d conv{.in = 1, .out = 1, .kernel = {3, 3}, .stride = {2, 2}, .same_padding = true};
  const at::Tensor y = conv2d(conv, x, at::ones({1, 1, 3, 3}, at::kDouble), {}, 1);
  // One row and one column of zeros, after the last: the first window is not padded at all.
  CHECK(at::equal(y, at::tensor({45.0, 39.0, 66.0, 50.0}, at::kDouble).reshape({1, 1, 2, 2})));
}

TEST_CASE("SAME padding is right for every combination of even and odd") {
  const at::Tensor weight = noise({6, 2, 3, 3});
  const at::Tensor bias = noise({6});
  const Conv2d conv{
      .in = 4, .out = 6, .kernel = {3, 3}, .stride = {2, 2}, .groups = 2, .bias = true, .same_padding = true};
  for (const std::int64_t height : {7, 8}) {
    for (const std::int64_t width : {9, 10}) {
      const at::Tensor x = noise({2, 4, height, width}, 2);
      const at::Tensor padded = at::constant_pad_nd(x, {width % 2, 1, height % 2, 1});
      const at::Tensor expected = at::conv2d(padded, weight, bias, Ints{2, 2}, Ints{0, 0}, Ints{1, 1}, 2);
      CHECK(close(conv2d(conv, x, weight, bias, 2), expected));
    }
  }
}

TEST_CASE("a convolution has the geometry of its node and the channels of its weight") {
  const Conv2d conv{
      .in = 4, .out = 6, .kernel = {3, 3}, .stride = {2, 1}, .padding = {1, 2}, .dilation = {1, 2}, .groups = 2};
  const at::Tensor x = noise({2, 4, 9, 8});
  for (const std::int64_t groups : {1, 2}) {
    const at::Tensor weight = noise({10, 4 / groups, 3, 3}, 3);
    const at::Tensor expected = at::conv2d(x, weight, {}, Ints{2, 1}, Ints{1, 2}, Ints{1, 2}, groups);
    CHECK(close(conv2d(conv, x, weight, {}, groups), expected));
  }
  NodeTensors tensors;
  tensors.weight = noise({6, 2, 3, 3});
  const at::Tensor expected = at::conv2d(x, tensors.weight, {}, Ints{2, 1}, Ints{1, 2}, Ints{1, 2}, 2);
  CHECK(close(apply(conv, tensors, x), expected));
}

TEST_CASE("every other operation is what its formula says") {
  const at::Tensor x = 4 * noise({2, 3, 6, 6});
  const auto at_channel = [](const at::Tensor& t) { return t.reshape({1, 3, 1, 1}); };
  const NodeTensors norm{noise({3}, 1), noise({3}, 2), noise({3}, 3), at::abs(noise({3}, 4)) + 0.5};
  const at::Tensor expected =
      (x - at_channel(norm.running_mean)) / at::sqrt(at_channel(norm.running_var) + 1e-3) * at_channel(norm.weight) +
      at_channel(norm.bias);
  const at::Tensor mean_before = norm.running_mean.clone();
  CHECK(close(apply(BatchNorm2d{3, 1e-3}, norm, x), expected));
  CHECK(at::equal(norm.running_mean, mean_before));  // evaluation mode: statistics stay

  CHECK(at::equal(apply(Relu{}, {}, x), at::clamp(x, 0)));
  CHECK(at::equal(apply(Relu6{}, {}, x), at::clamp(x, 0, 6)));
  CHECK(x.max().item<double>() > 6);
  CHECK(at::equal(apply(Add{}, {}, x, x * 2), x + x * 2));
  CHECK(close(apply(GlobalAvgPool{}, {}, x), x.sum({2, 3}) / 36));
  const at::Tensor small = at::arange(16, at::kDouble).reshape({1, 1, 4, 4});
  CHECK(at::equal(apply(MaxPool2d{}, {}, small).flatten(), at::tensor({5.0, 7.0, 13.0, 15.0}, at::kDouble)));

  const NodeTensors linear{noise({5, 7}), noise({5}), {}, {}};
  const at::Tensor rows = noise({4, 7});
  CHECK(close(apply(Linear{7, 5}, linear, rows), at::matmul(rows, linear.weight.t()) + linear.bias));
  CHECK(close(apply(Linear{7, 5, false}, {linear.weight, {}, {}, {}}, rows), at::matmul(rows, linear.weight.t())));
}
