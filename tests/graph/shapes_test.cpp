#include "graph/shapes.h"

#include <ATen/Functions.h>
#include <doctest/doctest.h>

#include "graph/small_graphs.h"
#include "lorikeet/error.h"

using namespace lorikeet;

namespace {

Graph single(const Op& op) {
  Graph graph;
  graph.add("input", Input{4}, {});
  graph.add("layer.x", op, {0});
  return graph;
}

}  // namespace

TEST_CASE("inferred shapes are those that ATen computes, for odd sizes too") {
  const std::vector<Op> ops{
      Conv2d{.in = 4, .out = 6, .kernel = {7, 7}, .stride = {2, 2}, .padding = {3, 3}},
      Conv2d{.in = 4, .out = 6, .kernel = {3, 1}, .stride = {1, 3}, .padding = {2, 0}, .dilation = {2, 1}},
      Conv2d{.in = 4, .out = 4, .kernel = {3, 3}, .stride = {2, 2}, .groups = 4, .same_padding = true},
      Conv2d{.in = 4, .out = 4, .kernel = {5, 3}, .stride = {1, 2}, .dilation = {1, 2}, .same_padding = true},
      BatchNorm2d{4},
      Relu{},
      Relu6{},
      MaxPool2d{},
      MaxPool2d{{2, 3}, {2, 1}, {0, 1}},
      GlobalAvgPool{}};
  for (const Op& op : ops) {
    const Graph graph = single(op);
    NodeTensors tensors;
    for (const auto& [name, tensor] : random_weights(graph, 1)) tensors.set(name.substr(8), tensor);  // "layer.x."
    for (const auto& [height, width] :
         std::vector<std::pair<std::int64_t, std::int64_t>>{{28, 28}, {7, 10}, {13, 6}, {5, 5}}) {
      CAPTURE(describe(op));
      CAPTURE(height);
      Shape computed = apply(op, tensors, at::zeros({1, 4, height, width})).sizes().vec();
      computed.erase(computed.begin());
      CHECK((infer_shapes(graph, height, width) == std::vector<Shape>{{4, height, width}, computed}));
    }
  }
}

TEST_CASE("an image too small for a layer is refused, with the layer's name and the least size") {
  const auto refused = [](const Op& op, std::int64_t height, std::int64_t width, const char* because) {
    CHECK_THROWS_WITH_AS(infer_shapes(single(op), height, width), doctest::Contains(because), UsageError);
  };
  refused(Conv2d{.in = 4, .out = 4, .kernel = {3, 3}}, 2, 9, "got 2 pixels at layer.x, expected at least 3.");
  refused(Conv2d{.in = 4, .out = 4, .kernel = {3, 3}}, 9, 1, "got 1 pixels at layer.x, expected at least 3.");
  refused(Conv2d{.in = 4, .out = 4, .kernel = {5, 5}, .padding = {1, 1}, .dilation = {2, 2}}, 6, 9,
          "got 6 pixels at layer.x, expected at least 7.");
  refused(MaxPool2d{{4, 4}, {2, 2}, {1, 1}}, 1, 9, "got 1 pixels at layer.x, expected at least 2.");
  CHECK_THROWS_AS(count_macs(single(MaxPool2d{{4, 4}, {2, 2}, {1, 1}}), 1, 9), UsageError);
  CHECK((infer_shapes(single(MaxPool2d{{4, 4}, {2, 2}, {1, 1}}), 2, 2)[1] == Shape{4, 1, 1}));
}

TEST_CASE("multiply-adds are counted as by hand") {
  const auto macs = [](const Op& op) { return count_macs(single(op), 9, 7)[1]; };
  // 5 × 4 outputs of 8 channels, each of 4 · 3 · 3 products
  CHECK(macs(Conv2d{.in = 4, .out = 8, .kernel = {3, 3}, .stride = {2, 2}, .padding = {1, 1}, .bias = true}) ==
        5 * 4 * 8 * 36);
  CHECK(macs(Conv2d{.in = 4, .out = 8, .kernel = {3, 3}, .stride = {2, 2}, .groups = 2, .same_padding = true}) ==
        5 * 4 * 8 * 18);
  CHECK(macs(Conv2d{.in = 4, .out = 4, .kernel = {3, 3}, .padding = {1, 1}, .groups = 4}) == 9 * 7 * 4 * 9);
  CHECK(macs(BatchNorm2d{4}) == 0);
  CHECK(macs(MaxPool2d{}) == 0);
  const auto chain = count_macs(conv_chain({"a", "b"}), 3, 5);  // fc: 2 → 3
  CHECK((chain == std::vector<std::int64_t>{0, 60, 60, 0, 6}));
}

TEST_CASE("shapes and costs follow tokens through a transformer") {
  const Graph graph = small_vit();
  const auto shapes = infer_shapes(graph, 8, 8);
  CHECK((shapes[*graph.find("patch_embed.tokens")] == Shape{4, 12}));
  CHECK((shapes[*graph.find("blocks.1.attn.qkv")] == Shape{5, 36}));
  CHECK((shapes[*graph.find("blocks.1.attn")] == Shape{5, 12}));
  CHECK((shapes[graph.output()] == Shape{5}));
  const auto costs = count_macs(graph, 8, 8);
  CHECK(costs[*graph.find("blocks.0.mlp.fc1")] == 5 * 12 * 48);
  CHECK(costs[*graph.find("blocks.0.attn")] == 2 * 5 * 5 * 12);
  CHECK(costs[graph.output()] == 12 * 5);
  CHECK_THROWS_WITH_AS(infer_shapes(graph, 12, 8),
                       doctest::Contains("got 3 x 2 patches at patch_embed.tokens, expected a square of patches."),
                       UsageError);
}
