#include "graph/graph.h"

#include <ATen/Functions.h>  // before doctest: c10 has a CHECK of its own
#include <doctest/doctest.h>

#include "graph/small_graphs.h"

using namespace lorikeet;

namespace {

// What `op` needs, as "weight(8, 3) bias(8,) …"; a buffer is marked with *.
std::string tensors_of(const Op& op) {
  Graph graph;
  graph.add("input", Input{}, {});
  graph.add("x", op, {0});
  std::string out;
  for (const auto& parameter : graph.parameters(1)) {
    CHECK(parameter.node == 1);
    out += (out.empty() ? "" : " ") + parameter.name.substr(2) + shape_text(parameter.shape) +
           (parameter.buffer ? "*" : "");
  }
  CHECK(has_parameters(op) == !out.empty());
  return out;
}

}  // namespace

TEST_CASE("every operation has the tensors of its PyTorch module, in PyTorch's order") {
  CHECK(tensors_of(Conv2d{.in = 6, .out = 8, .kernel = {3, 5}}) == "weight(8, 6, 3, 5)");
  CHECK(tensors_of(Conv2d{.in = 6, .out = 8, .groups = 2, .bias = true}) == "weight(8, 3, 1, 1) bias(8,)");
  CHECK(tensors_of(Conv2d{.in = 6, .out = 6, .kernel = {3, 3}, .groups = 6}) == "weight(6, 1, 3, 3)");
  CHECK(tensors_of(BatchNorm2d{4}) == "weight(4,) bias(4,) running_mean(4,)* running_var(4,)*");
  CHECK(tensors_of(Linear{3, 7}) == "weight(7, 3) bias(7,)");
  CHECK(tensors_of(Linear{3, 7, false}) == "weight(7, 3)");
  for (const Op& op : {Op(Relu{}), Op(Relu6{}), Op(Add{}), Op(MaxPool2d{}), Op(GlobalAvgPool{})})
    CHECK(tensors_of(op).empty());
}

TEST_CASE("a graph's tensors come node by node") {
  std::vector<std::string> names;
  for (const auto& parameter : conv_chain({"b", "a"}).parameters()) names.push_back(parameter.name);
  CHECK(names == std::vector<std::string>{"b.weight", "a.weight", "fc.weight", "fc.bias"});
  CHECK(Parameter{"x", 0, {2, 3, 5}}.count() == 30);
  CHECK(Parameter{"scalar", 0, {}}.count() == 1);
}

TEST_CASE("nodes are found by their whole name") {
  const Graph graph = small_resnet();
  for (NodeId id = 0; id < graph.nodes().size(); ++id) CHECK(graph.find(graph.node(id).name) == id);
  CHECK_FALSE(graph.find("layer1.2"));
  CHECK_FALSE(graph.find(""));
  CHECK(graph.node(graph.output()).name == "fc");
}

TEST_CASE("a replaced node keeps its name and inputs") {
  Graph graph = small_resnet();
  const NodeId output = graph.output();
  const auto inputs = graph.node(output).inputs;
  const std::size_t count = graph.parameters().size();
  CHECK(output_features(graph) == 5);
  graph.replace(output, Linear{8, 11});
  CHECK(output_features(graph) == 11);
  CHECK(graph.node(output).name == "fc");
  CHECK(graph.node(output).inputs == inputs);
  CHECK(graph.parameters().size() == count);
  CHECK(graph.parameters(output)[0].shape == std::vector<std::int64_t>{11, 8});
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
  CHECK(describe(Relu6{}) == "ReLU6");
  CHECK(op_name(MaxPool2d{}) == "MaxPool2d");
}
