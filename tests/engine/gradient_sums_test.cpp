// Values that several steps read: the fused executor adds their gradients itself, or leaves that to autograd.
#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <doctest/doctest.h>

#include <functional>
#include <string>
#include <vector>

#include "engine/executor.h"
#include "engine/small_networks.h"

using namespace lorikeet;

namespace {

constexpr std::int64_t kChannels = 8;

// A graph from a convolution `conv1`, whose value `x` has the readers that `add` makes, to a Linear `fc`.
Graph graph_with(const std::function<NodeId(Graph&, NodeId)>& add) {
  Graph graph;
  NodeId x = graph.add("input", Input{3}, {});
  x = graph.add("conv1", Conv2d{.in = 3, .out = kChannels, .kernel = {3, 3}, .padding = {1, 1}}, {x});
  x = graph.add("relu", Relu{}, {x});
  x = add(graph, x);
  x = graph.add("avgpool", GlobalAvgPool{}, {x});
  graph.add("fc", Linear{kChannels, 5}, {x});
  return graph;
}

NodeId conv(Graph& graph, const std::string& name, NodeId x, Conv2d op = {}) {
  op.in = op.out = kChannels;
  return graph.add(name, op, {x});
}

struct Readers {
  const char* what;
  std::function<NodeId(Graph&, NodeId)> add;
};

const Conv2d kWide{.kernel = {3, 3}, .padding = {1, 1}};
const Conv2d kStrided{.stride = {2, 2}};
const Conv2d kWideStrided{.kernel = {3, 3}, .stride = {2, 2}, .padding = {1, 1}};

const Readers kReaders[]{
    {"a block with a residual",
     [](Graph& graph, NodeId x) {
       const NodeId y = conv(graph, "b", graph.add("r", Relu{}, {conv(graph, "a", x, kWide)}));
       return graph.add("end", Relu{}, {graph.add("add", Add{}, {y, x})});
     }},
    {"blocks without an activation after the sum",
     [](Graph& graph, NodeId x) {
       for (const std::string block : {"0.", "1.", "2."}) {
         const NodeId y = conv(graph, block + "b", graph.add(block + "r", Relu6{}, {conv(graph, block + "a", x)}));
         x = graph.add(block + "add", Add{}, {y, x});
       }
       return x;
     }},
    {"a block with a strided shortcut",
     [](Graph& graph, NodeId x) {
       const NodeId y = conv(graph, "b", graph.add("r", Relu{}, {conv(graph, "a", x, kWideStrided)}));
       return graph.add("end", Relu{}, {graph.add("add", Add{}, {y, conv(graph, "down", x, kStrided)})});
     }},
    {"a convolution and the residual of the same step",
     [](Graph& graph, NodeId x) {
       return graph.add("end", Relu{}, {graph.add("add", Add{}, {conv(graph, "a", x, kWide), x})});
     }},
    {"three convolutions",
     [](Graph& graph, NodeId x) {
       const NodeId y = graph.add("add1", Add{}, {conv(graph, "a", x, kWide), conv(graph, "b", x)});
       return graph.add("add2", Add{}, {y, conv(graph, "c", x)});
     }},
    {"a convolution and what is not frozen",
     [](Graph& graph, NodeId x) {
       const NodeId y = graph.add("norm", BatchNorm2d{kChannels}, {x});
       return graph.add("add2", Add{}, {graph.add("add1", Add{}, {conv(graph, "a", x), conv(graph, "b", x)}), y});
     }},
    {"a sum that no step includes, whose gradient several steps get",
     [](Graph& graph, NodeId x) {
       const NodeId a = conv(graph, "a", x), b = conv(graph, "b", x);
       const NodeId both = graph.add("add1", Add{}, {graph.add("norm", BatchNorm2d{kChannels}, {a}), b});
       return graph.add("add2", Add{}, {graph.add("add3", Add{}, {a, both}), x});
     }},
    {"a convolution that the output does not depend on",
     [](Graph& graph, NodeId x) {
       conv(graph, "unused", x);
       return graph.add("add", Add{}, {conv(graph, "a", x, kWide), x});
     }},
};

// Of the logits' sum with `weights`: the loss's gradient is this tensor.
std::vector<at::Tensor> gradients(EngineKind kind, Network& network, const at::Tensor& weights, int passes) {
  const auto executor = make_executor(kind, network, {});
  const at::Tensor logits = executor->run_suffix(executor->run_prefix(some_images()), true);
  for (int i = 0; i < passes; ++i) logits.backward(weights, /*retain_graph=*/i + 1 < passes);
  std::vector<at::Tensor> out;
  for (auto& [name, tensor] : network.trainable()) {
    out.push_back(tensor.grad().clone());
    tensor.mutable_grad() = at::Tensor();
  }
  return out;
}

void check_gradients(const Graph& graph, const AdapterSpec& spec, const at::Tensor& weights) {
  Network network = trained_network(spec, 1, graph);
  for (const int passes : {1, 2}) {
    CAPTURE(passes);
    const auto plain = gradients(EngineKind::kPlain, network, weights, passes);
    const at::Tensor before = weights.clone();
    const auto fused = gradients(EngineKind::kFused, network, weights, passes);
    CHECK(at::equal(weights, before));
    for (std::size_t i = 0; i < plain.size(); ++i) CHECK(relative(fused[i], plain[i]) < 1e-5);
  }
}

}  // namespace

TEST_CASE("the gradient to a value is the sum of its readers', whatever reads it") {
  for (const Readers& readers : kReaders) {
    CAPTURE(readers.what);
    const Graph graph = graph_with(readers.add);
    for (const char* targets : {"conv1", "(conv1|.*a)", "(conv1|.*[abc])"}) {
      CAPTURE(targets);
      check_gradients(graph, spec_for(targets), at::ones({4, 5}));
      check_gradients(graph, spec_for(targets, {"fc"}), at::ones({4, 5}));
    }
  }
}

TEST_CASE("the gradient of the output belongs to the caller") {
  Graph graph = graph_with(kReaders[0].add);
  NodeId x = graph.output();
  for (const std::string block : {"0", "1"})
    x = graph.add("add" + block, Add{}, {graph.add(block, Linear{5, 5}, {x}), x});
  check_gradients(graph, spec_for("conv1"), at::rand({4, 5}));
}
