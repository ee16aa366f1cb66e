#include "engine/expected_means.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <doctest/doctest.h>

#include <string>
#include <utility>
#include <vector>

#include "engine/onednn.h"
#include "engine/small_networks.h"

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
    const at::Tensor y = at::conv2d(values[graph.node(conv).inputs[0]], *weights.find(graph.node(conv).name + ".weight"));
    const auto [variance, mean] = at::var_mean(y, {0, 2, 3});
    weights.set(graph.node(norm).name + ".running_mean", mean);
    weights.set(graph.node(norm).name + ".running_var", variance);
    const auto channel = [&](const char* name) { return weights.find(graph.node(norm).name + name)->view({1, -1, 1, 1}); };
    values[norm] = (y - channel(".running_mean")) / at::sqrt(channel(".running_var")) * channel(".weight") + channel(".bias");
    if (norm == bn1) values[relu6] = at::clamp(values[bn1], 0, 6);
  }
  values[add] = values[relu6] + values[bn2];
  values[relu] = at::relu(values[add]);

  const auto means = expected_means(Network(graph, weights));
  for (const NodeId id : {bn1, relu6, bn2, add, relu}) {
    CAPTURE(graph.node(id).name);
    // Behind the sum, that its summands depend on each other is not known.
    CHECK(at::abs(means[id] - values[id].mean({0, 2, 3})).max().item<double>() < (id == relu ? 0.2 : 0.02));
  }
  CHECK(!means[input].defined());
  CHECK(!means[conv1].defined());
}

TEST_CASE("an int8 convolution's mean error is what its rounding takes from a constant image") {
  at::Generator generator = seeded(3);
  for (const std::int64_t groups : {1, 4}) {
    const at::Tensor weight = at::empty({8, 8 / groups, 3, 3}).normal_(0, 1, generator);
    const at::Tensor means = at::randint(0, 100, {8}, generator).to(at::kFloat);
    const at::Tensor image = means.view({1, 8, 1, 1}).expand({1, 8, 5, 5}).contiguous(at::MemoryFormat::ChannelsLast);
    const Int8Conv conv(weight, {{1, 1}, {0, 0}, {1, 1}, groups}, image.sizes(), {1, 0});
    const at::Tensor exact = at::conv2d(image, weight, {}, at::IntArrayRef{1}, at::IntArrayRef{0}, at::IntArrayRef{1}, groups).select(3, 0).select(2, 0)[0];
    const double scale = at::abs(exact).max().item<double>() / 120;
    const at::Tensor stored = conv(image.to(at::kByte), conv.mean_error(means), {}, false, {scale, 128}).select(3, 0).select(2, 0)[0];
    CHECK(at::abs((stored.to(at::kFloat) - 128) * scale - exact).max().item<double>() <= scale * 0.51);
    CHECK(conv.mean_error(means).abs().max().item<double>() > scale);  // without it the check would fail
  }
}
