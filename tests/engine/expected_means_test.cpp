#include "engine/expected_means.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <doctest/doctest.h>

#include <string>
#include <utility>
#include <vector>

#include "engine/small_networks.h"
#include "kernels/onednn.h"

using namespace lorikeet;

TEST_CASE("the means expected of each channel are those of images that BatchNorm knows") {
  Graph graph;
  const NodeId input = graph.add("input", Input{3}, {});
  const NodeId conv1 = graph.add("conv1", Conv2d{.in = 3, .out = 16}, {input});
  const NodeId bn1 = graph.add("bn1", BatchNorm2d{16}, {conv1});
  const NodeId relu6 = graph.add("relu6", Relu6{}, {bn1});
  const NodeId conv2 = graph.add("conv2", Conv2d{.in = 16, .out = 16}, {relu6});
  const NodeId bn2 = graph.add("bn2", BatchNorm2d{16}, {conv2});
  const NodeId add = graph.add("add", Add{}, {relu6, bn2});
  const NodeId relu = graph.add("relu", Relu{}, {add});
  graph.add("fc", Linear{16, 2}, {graph.add("avgpool", GlobalAvgPool{}, {relu})});

  // Statistics as training leaves them; means on both sides of either clamp.
  at::Generator generator = seeded(1);
  NamedTensors weights = random_weights(graph, 2);
  const at::Tensor images = at::empty({16, 3, 64, 64}).normal_(0, 1, generator);
  for (const std::string norm : {"bn1", "bn2"}) {
    weights.set(norm + ".weight", at::empty({16}).uniform_(-2, 2, generator));
    weights.set(norm + ".bias", at::empty({16}).uniform_(-2, 7, generator));
  }
  std::vector<at::Tensor> values(graph.nodes().size());
  values[input] = images;
  for (const auto& [conv, norm] : {std::pair(conv1, bn1), std::pair(conv2, bn2)}) {
    const at::Tensor y =
        at::conv2d(values[graph.node(conv).inputs[0]], *weights.find(graph.node(conv).name + ".weight"));
    const auto [variance, mean] = at::var_mean(y, {0, 2, 3});
    weights.set(graph.node(norm).name + ".running_mean", mean);
    weights.set(graph.node(norm).name + ".running_var", variance);
    const auto channel = [&](const char* name) {
      return weights.find(graph.node(norm).name + name)->view({1, -1, 1, 1});
    };
    values[norm] =
        (y - channel(".running_mean")) / at::sqrt(channel(".running_var")) * channel(".weight") + channel(".bias");
    if (norm == bn1) values[relu6] = at::clamp(values[bn1], 0, 6);
  }
  values[add] = values[relu6] + values[bn2];
  values[relu] = at::relu(values[add]);

  const auto means = expected_means(Network(graph, weights));
  for (const NodeId id : {bn1, relu6, bn2, add, relu}) {
    CAPTURE(graph.node(id).name);
    // After a sum, the correlation of its summands is not known.
    CHECK(at::abs(means[id] - values[id].mean({0, 2, 3})).max().item<double>() < (id == relu ? 0.2 : 0.02));
  }
  CHECK(!means[input].defined());
  CHECK(!means[conv1].defined());
}

TEST_CASE("a convolution's mean is that of its output on a constant image, borders included") {
  at::Generator generator = seeded(3);
  const at::Tensor means = at::empty({8}).uniform_(0, 9, generator);
  for (const Conv2d& conv :
       {Conv2d{.in = 8, .out = 8, .kernel = {3, 3}, .padding = {1, 1}},
        Conv2d{.in = 8, .out = 8, .kernel = {5, 3}, .stride = {2, 1}, .padding = {2, 1}, .groups = 8},
        Conv2d{
            .in = 8, .out = 4, .kernel = {3, 3}, .stride = {2, 2}, .padding = {2, 2}, .dilation = {2, 2}, .groups = 2},
        Conv2d{.in = 8, .out = 6}}) {
    for (const Pair& size : {Pair{1, 1}, Pair{2, 3}, Pair{9, 7}}) {
      const at::Tensor weight =
          at::empty({conv.out, conv.in / conv.groups, conv.kernel[0], conv.kernel[1]}).normal_(0, 1, generator);
      const at::Tensor image = means.view({1, 8, 1, 1}).expand({1, 8, size[0], size[1]});
      const at::Tensor expected =
          at::conv2d(image, weight, {}, conv.stride, conv.padding, conv.dilation, conv.groups).mean({0, 2, 3});
      CHECK(relative(mean_output(conv, weight, means, size[0], size[1]), expected) < 1e-5);
    }
  }
}

TEST_CASE("an int8 convolution lacks what int8_rounding_error says") {
  at::Generator generator = seeded(3);
  const at::Tensor weight = at::empty({8, 8, 3, 3}).normal_(0, 1, generator);
  const at::Tensor image =
      at::randint(0, 100, {1, 8, 3, 3}, generator).to(at::kFloat).contiguous(at::MemoryFormat::ChannelsLast);
  // Large weights on a channel of zeros: they widen the step by which all are rounded, with 7 bits and with 8.
  weight.select(1, 0).mul_(4);
  image.select(1, 0).zero_();
  const at::Tensor exact = at::conv2d(image, weight).view(-1);
  const at::Tensor lacking = at::conv2d(image, int8_rounding_error(weight)).view(-1);
  const double scale = at::abs(exact).max().item<double>() / 120;
  const ConvGeometry geometry{{1, 1}, {0, 0}, {1, 1}, 1};
  const Int8Conv conv(weight, {1, 0});
  const at::Tensor stored =
      conv(image.to(at::kByte), conv.pack(weight, geometry, image.sizes()), geometry, {lacking, {}, {}, {scale, 128}});
  const at::Tensor found = (stored.view(-1).to(at::kFloat) - 128) * scale;
  CHECK(at::abs(found - exact).max().item<double>() <= scale * 0.51);
  CHECK(lacking.abs().max().item<double>() > scale);  // so that without it the check would fail
}
