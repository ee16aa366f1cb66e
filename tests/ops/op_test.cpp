#include "ops/op.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <doctest/doctest.h>

#include "base/error.h"
#include "ops/noise.h"

using namespace lorikeet;

namespace {

// What `op` needs, as "weight(8, 3) bias(8,) …"; a buffer is marked with *.
std::string tensors_of(const Op& op) {
  std::string out;
  for (const OpParameter& parameter : parameters_of(op)) {
    out += (out.empty() ? "" : " ") + parameter.name + cat(at::IntArrayRef(parameter.shape)) +
           (parameter.buffer ? "*" : "");
  }
  CHECK(has_parameters(op) == !out.empty());
  return out;
}

}  // namespace

TEST_CASE("every operation has the tensors of its PyTorch module, in PyTorch's order") {
  CHECK(tensors_of(Conv2d{.in = 6, .out = 8, .kernel = {3, 5}}) == "weight[8, 6, 3, 5]");
  CHECK(tensors_of(Conv2d{.in = 6, .out = 8, .groups = 2, .bias = true}) == "weight[8, 3, 1, 1] bias[8]");
  CHECK(tensors_of(Conv2d{.in = 6, .out = 6, .kernel = {3, 3}, .groups = 6}) == "weight[6, 1, 3, 3]");
  CHECK(tensors_of(BatchNorm2d{4}) == "weight[4] bias[4] running_mean[4]* running_var[4]*");
  CHECK(tensors_of(Linear{3, 7}) == "weight[7, 3] bias[7]");
  CHECK(tensors_of(Linear{3, 7, false}) == "weight[7, 3]");
  CHECK(tensors_of(LayerNorm{6}) == "weight[6] bias[6]");
  CHECK(tensors_of(LayerNorm2d{6}) == "weight[6] bias[6]");
  CHECK(tensors_of(GlobalResponseNorm{6}) == "weight[6] bias[6]");
  CHECK(tensors_of(GlobalResponseNorm{6, true}) == "weight[1, 1, 1, 6] bias[1, 1, 1, 6]");
  for (const Op& op :
       {Op(Silu{}), Op(Sigmoid{}), Op(HardSigmoid{}), Op(HardSwish{}), Op(Multiply{}), Op(AvgPool2d{}),
        Op(MeanTokens{}), Op(channels_last_axes()), Op(Concat{}), Op(Relu{}), Op(Relu6{}), Op(Gelu{}), Op(Add{}),
        Op(MaxPool2d{}), Op(GlobalAvgPool{}), Op(Attention{6, 2}), Op(PixelsToTokens{}), Op(TakeToken{})}) {
    CHECK(tensors_of(op).empty());
  }
}

TEST_CASE("a learned tensor that belongs to no module has the node's own name") {
  CHECK(tensors_of(PrependTokens{2, 6}) == "[1, 2, 6]");
  CHECK(tensors_of(PositionEmbedding{5, 6}) == "[1, 5, 6]");
  CHECK(tensors_of(LayerScale{6, false}) == "[6]");
  CHECK(tensors_of(LayerScale{6, true}) == "[6, 1, 1]");
  CHECK(tensors_of(UnusedParameter{{1, 6}}) == "[1, 6]");
  CHECK_FALSE(is_module(PrependTokens{2, 6}));
  CHECK_FALSE(is_module(PositionEmbedding{5, 6}));
  CHECK(is_module(LayerNorm{6}));
}

TEST_CASE("operations are described as PyTorch prints them, defaults left out") {
  CHECK(describe(Conv2d{.in = 64, .out = 128, .kernel = {3, 3}, .stride = {2, 2}, .padding = {1, 1}, .bias = true}) ==
        "Conv2d(64, 128, kernel_size=(3, 3), stride=(2, 2), padding=(1, 1))");
  CHECK(describe(Conv2d{.in = 8, .out = 8, .kernel = {3, 1}, .dilation = {2, 1}, .groups = 4}) ==
        "Conv2d(8, 8, kernel_size=(3, 1), stride=(1, 1), dilation=(2, 1), groups=4, bias=False)");
  CHECK(describe(Conv2d{.in = 3, .out = 8, .same_padding = true}) ==
        "Conv2d(3, 8, kernel_size=(1, 1), stride=(1, 1), padding=same, bias=False)");
  CHECK(describe(BatchNorm2d{64}) == "BatchNorm2d(64, eps=1e-05)");
  CHECK(describe(Linear{2048, 10}) == "Linear(in_features=2048, out_features=10)");
  CHECK(describe(Linear{2048, 10, false}) == "Linear(in_features=2048, out_features=10, bias=False)");
  CHECK(describe(LayerNorm{64, 1e-6}) == "LayerNorm((64,), eps=1e-06)");
  CHECK(describe(Gelu{}) == "GELU(approximate='none')");
  CHECK(describe(Gelu(GeluForm::kTanh)) == "GELU(approximate='tanh')");
  CHECK(describe(Attention{192, 3}) == "Attention(192, heads=3)");
  CHECK(describe(PrependTokens{1, 192}) == "PrependTokens(1, 192)");
  CHECK(describe(PositionEmbedding{197, 192}) == "PositionEmbedding(197, 192)");
  CHECK(describe(TakeToken{}) == "TakeToken(0)");
  CHECK(describe(LayerNorm2d{64}) == "LayerNorm2d((64,), eps=1e-06)");
  CHECK(describe(LayerScale{64, true}) == "LayerScale(64)");
  CHECK(describe(MeanTokens{1}) == "MeanTokens(first=1)");
  CHECK(describe(channels_last_axes()) == "Permute(dims=[0, 2, 3, 1])");
  CHECK(describe(Concat{-1}) == "Concat(dim=-1)");
  CHECK(describe(AvgPool2d{.ceil_mode = true}) == "AvgPool2d(kernel_size=2, stride=2, ceil_mode=True)");
  CHECK(describe(Relu6{}) == "ReLU6");
  CHECK(op_name(MaxPool2d{}) == "MaxPool2d");
}

TEST_CASE("every other operation is what its formula says") {
  const at::Tensor x = 4 * noise({2, 3, 6, 6});
  const auto at_channel = [](const at::Tensor& t) { return t.reshape({1, 3, 1, 1}); };
  const at::Tensor weight = noise({3}, 1), bias = noise({3}, 2), mean = noise({3}, 3);
  const at::Tensor variance = at::abs(noise({3}, 4)) + 0.5;
  const NodeTensors norm{{"weight", weight}, {"bias", bias}, {"running_mean", mean}, {"running_var", variance}};
  const at::Tensor expected =
      (x - at_channel(mean)) / at::sqrt(at_channel(variance) + 1e-3) * at_channel(weight) + at_channel(bias);
  const at::Tensor mean_before = mean.clone();
  CHECK(close(apply(BatchNorm2d{3, 1e-3}, norm, x), expected));
  CHECK(at::equal(mean, mean_before));  // evaluation mode: statistics stay

  CHECK(at::equal(apply(Relu{}, {}, x), at::clamp(x, 0)));
  CHECK(at::equal(apply(Relu6{}, {}, x), at::clamp(x, 0, 6)));
  CHECK(x.max().item<double>() > 6);
  CHECK(at::equal(apply(Add{}, {}, {x, x * 2}), x + x * 2));
  CHECK(close(apply(GlobalAvgPool{}, {}, x), x.sum({2, 3}) / 36));
  const at::Tensor small = at::arange(16, at::kDouble).reshape({1, 1, 4, 4});
  CHECK(at::equal(apply(MaxPool2d{}, {}, small).flatten(), at::tensor({5.0, 7.0, 13.0, 15.0}, at::kDouble)));

  const NodeTensors linear{{"weight", noise({5, 7})}, {"bias", noise({5})}};
  for (const at::Tensor& rows : {noise({4, 7}), noise({2, 4, 7})}) {
    const at::Tensor product = at::matmul(rows, linear.weight().t());
    CHECK(close(apply(Linear{7, 5}, linear, rows), product + linear.bias()));
    CHECK(close(apply(Linear{7, 5, false}, {{"weight", linear.weight()}}, rows), product));
  }
}

TEST_CASE("an operation takes a fixed number of inputs") {
  CHECK(takes(Input{}, 0));
  CHECK_FALSE(takes(Input{}, 1));
  CHECK(takes(Linear{2, 3}, 1));
  CHECK_FALSE(takes(Linear{2, 3}, 2));
  CHECK(takes(Add{}, 2));
  CHECK_FALSE(takes(Add{}, 1));
  CHECK(takes(Attention{6, 2}, 1));
  CHECK_FALSE(takes(Attention{6, 2}, 2));
  CHECK(takes(Attention{6, 2}, 3));
}

TEST_CASE("a linear layer maps the last axis, and its cost counts the others") {
  const Linear linear{7, 5};
  CHECK((output_shape(linear, Shape{7}, "fc") == Shape{5}));
  CHECK((output_shape(linear, Shape{4, 7}, "fc") == Shape{4, 5}));
  const Shape tokens{4, 7}, out{4, 5};
  CHECK(macs(linear, {tokens, out}) == 4 * 7 * 5);
}

TEST_CASE("a node's tensors are found by any name and keep their order") {
  NodeTensors tensors{{"weight", at::ones({2})}, {"gamma", at::ones({3})}};
  CHECK(tensors.weight().size(0) == 2);
  CHECK(tensors["gamma"].size(0) == 3);
  CHECK_FALSE(tensors.bias().defined());
  tensors.set("bias", at::ones({4}));
  tensors.set("weight", at::ones({5}));
  std::string order;
  for (const auto& [name, tensor] : tensors) order += name + std::to_string(tensor.size(0)) + " ";
  CHECK(order == "weight5 gamma3 bias4 ");
  tensors.set("bias", {});
  CHECK_FALSE(tensors.bias().defined());
  CHECK_FALSE(optional_tensor(tensors.bias()));
  CHECK(optional_tensor(tensors.weight()));
}
