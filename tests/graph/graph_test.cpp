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

TEST_CASE("a module's own tensors come before those of the modules inside it, as in PyTorch") {
  std::vector<std::string> names;
  for (const auto& parameter : small_vit({.depth = 1}).parameters()) {
    CHECK(parameter.name.ends_with(parameter.key));
    names.push_back(parameter.name);
  }
  CHECK(names.size() == 20);
  names.resize(5);
  CHECK(names == std::vector<std::string>{"cls_token", "pos_embed", "patch_embed.proj.weight", "patch_embed.proj.bias",
                                          "blocks.0.norm1.weight"});
  Graph graph;
  const NodeId x = graph.add("stage.0.conv", Conv2d{.in = 3, .out = 2}, {graph.add("input", Input{}, {})});
  graph.add("stage.0", PositionEmbedding{4, 2}, {graph.add("tokens", PixelsToTokens{}, {x})});
  CHECK(graph.parameters()[0].name == "stage.0");
  CHECK(graph.parameters()[1].name == "stage.0.conv.weight");
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

TEST_CASE("declared names come first and in their own order, tensors among them") {
  Graph graph;
  for (const char* name : {"b", "stage.2", "stage.1", "places"}) graph.declare(name);
  NodeId x = graph.add("input", Input{}, {});
  for (const char* name : {"a", "stage.1", "stage.2", "b"}) x = graph.add(name, Conv2d{.in = 3, .out = 3}, {x});
  x = graph.add("tokens", PixelsToTokens{}, {x});
  x = graph.add("other", PositionEmbedding{4, 3}, {x});
  graph.add("places", PositionEmbedding{4, 3}, {x});
  std::vector<std::string> names;
  for (const auto& parameter : graph.parameters()) names.push_back(parameter.name);
  CHECK(names ==
        std::vector<std::string>{"places", "other", "b.weight", "stage.2.weight", "stage.1.weight", "a.weight"});
}

TEST_CASE("a tensor prefix is part of a tensor's name and not of its key") {
  Graph graph;
  const NodeId id = graph.add("attention", Linear{2, 6}, {graph.add("input", Input{}, {})});
  graph.set_tensor_prefix(id, "in_proj_");
  const auto parameters = graph.parameters();
  CHECK(parameters[0].name == "attention.in_proj_weight");
  CHECK(parameters[0].key == "weight");
  CHECK(parameters[1].name == "attention.in_proj_bias");
}
