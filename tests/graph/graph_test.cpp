#include "graph/graph.h"

#include <ATen/Functions.h>  // before doctest: c10 defines a CHECK macro too
#include <doctest/doctest.h>

#include "graph/small_graphs.h"

using namespace lorikeet;

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
