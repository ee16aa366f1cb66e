#include "ops/conv.h"

#include <ATen/Functions.h>
#include <doctest/doctest.h>

#include <vector>

#include "ops/noise.h"

using namespace lorikeet;

namespace {

using Ints = std::vector<std::int64_t>;

}  // namespace

TEST_CASE("the padding called SAME is TensorFlow's") {
  CHECK(same_padding(224, 3, 2, 1) == 1);  // 112 windows reach 225 pixels
  CHECK(same_padding(225, 3, 2, 1) == 2);
  CHECK(same_padding(7, 5, 1, 1) == 4);
  CHECK(same_padding(7, 3, 1, 2) == 4);
  CHECK(same_padding(8, 2, 4, 1) == 0);  // windows that leave pixels out need none
  CHECK(same_padding(1, 3, 2, 1) == 2);
}

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
  const at::Tensor weight = noise({6, 2, 3, 3});
  const at::Tensor expected = at::conv2d(x, weight, {}, Ints{2, 1}, Ints{1, 2}, Ints{1, 2}, 2);
  CHECK(close(conv.forward({{"weight", weight}}, x), expected));
}
