#include "engine/token_reads.h"

#include <ATen/Functions.h>
#include <doctest/doctest.h>

#include <set>

#include "engine/executor.h"
#include "engine/small_networks.h"

using namespace lorikeet;

namespace {

std::set<std::string> narrowed(const Graph& graph) {
  std::set<std::string> out;
  const auto only = only_tokens_read(graph);
  for (NodeId id = 0; id < only.size(); ++id) {
    if (only[id]) out.insert(graph.node(id).name);
  }
  return out;
}

}  // namespace

TEST_CASE("of a transformer's last block only the class token is read, after the keys and values") {
  CHECK(narrowed(small_vit()) == std::set<std::string>{"blocks.1.attn", "blocks.1.attn.proj", "blocks.1.add1",
                                                       "blocks.1.norm2", "blocks.1.mlp.fc1", "blocks.1.mlp.act",
                                                       "blocks.1.mlp.fc2", "blocks.1.add2", "norm"});
  CHECK(narrowed(small_resnet()).empty());
}

TEST_CASE("where several tokens are read, all are computed") {
  Graph graph;
  NodeId x = graph.add("input", Input{3}, {});
  x = graph.add("tokens", PixelsToTokens{}, {x});
  x = graph.add("fc", Linear{3, 4}, {x});
  const NodeId first = graph.add("first", TakeToken{0}, {x});
  CHECK(narrowed(graph) == std::set<std::string>{"fc"});
  const NodeId second = graph.add("second", TakeToken{1}, {x});
  graph.add("both", Add{}, {first, second});
  CHECK(narrowed(graph).empty());
}

TEST_CASE("what a cache keeps after the last attention is one token an image") {
  const Network network = trained_network(spec_for(R"(blocks\.1\.mlp\.fc2)"), 1, small_vit());
  const auto executor = make_fused_executor(network, {});
  const at::Tensor images = at::ones({3, 3, 8, 8});
  for (const at::Tensor& tensor : executor->run_prefix(images)) CHECK(tensor.size(1) == 1);
  CHECK(relative(executor->predict(images), evaluate(network, images)) < 1e-5);
  const auto shapes = computed_shapes(network.graph(), 8, 8);
  CHECK(shapes[network.graph().output() - 2] == Shape{1, 12});  // norm, before "class" and "head"
}
