#include "engine/fusion.h"

#include <ATen/Functions.h>  // before doctest: c10 defines a CHECK macro too
#include <doctest/doctest.h>

#include "engine/executor.h"
#include "engine/small_networks.h"

using namespace lorikeet;

namespace {

// "conv1+bn1+residual+clamp>relu": what a step takes up, and the node whose value it gives.
std::vector<std::string> steps_text(const Network& network) {
  std::vector<std::string> out;
  const Graph& graph = network.graph();
  for (const FusedStep& step : fuse(network, make_plan(network))) {
    std::string text = graph.node(step.first).name;
    if (step.norm) text += "+" + graph.node(*step.norm).name;
    if (step.residual) text += "+" + graph.node(*step.residual).name;
    if (step.output != step.first) text += ">" + graph.node(step.output).name;
    out.push_back(text);
  }
  return out;
}

bool has(const std::vector<std::string>& steps, const std::string& text) {
  return std::find(steps.begin(), steps.end(), text) != steps.end();
}

}  // namespace

TEST_CASE("a frozen convolution takes up norm, residual and activation") {
  const Network network(small_resnet(), random_weights(small_resnet(), 1));
  CHECK(steps_text(network) ==
        std::vector<std::string>{
            "conv1+bn1>relu", "layer1.0.conv1+layer1.0.bn1>layer1.0.relu",
            "layer1.0.conv2+layer1.0.bn2>layer1.0.relu_1", "layer1.0.conv3+layer1.0.bn3+relu>layer1.0.relu_2",
            "layer1.1.conv1+layer1.1.bn1>layer1.1.relu", "layer1.1.conv2+layer1.1.bn2>layer1.1.relu_1",
            "layer1.1.conv3+layer1.1.bn3+layer1.0.relu_2>layer1.1.relu_2", "layer1.2.conv1+layer1.2.bn1>layer1.2.relu",
            "layer1.2.conv2+layer1.2.bn2>layer1.2.relu_1",
            "layer1.2.conv3+layer1.2.bn3+layer1.1.relu_2>layer1.2.relu_2", "avgpool", "fc"});
}

TEST_CASE("what learns is not taken up, except LoRA on the convolution itself") {
  const auto steps = steps_text(trained_network(spec_for(R"(layer1\.1\.conv3)", {"layer1.2.bn1"})));
  CHECK(has(steps, "layer1.1.conv3+layer1.1.bn3+layer1.0.relu_2>layer1.1.relu_2"));
  CHECK(has(steps, "layer1.2.conv1"));
  CHECK(has(steps, "layer1.2.bn1"));
  CHECK(has(steps, "layer1.2.relu"));
  CHECK(has(steps_text(trained_network(spec_for("", {"layer1.2.conv2"}))), "layer1.2.conv2"));
}

TEST_CASE("no step crosses the end of the frozen prefix") {
  // bn1 of block 2 is retrained, conv1 before it is in the prefix.
  const auto steps = steps_text(trained_network(spec_for("", {"layer1.2.bn1"})));
  CHECK(has(steps, "layer1.2.conv1"));
  CHECK(has(steps, "layer1.1.conv3+layer1.1.bn3+layer1.0.relu_2>layer1.1.relu_2"));
}

TEST_CASE("a block's last step is the last to read its residual, unless the frontier holds it") {
  const auto last_readers = [](const Network& network) {
    std::vector<std::string> out;
    const Plan plan = make_plan(network);
    const auto steps = fuse(network, plan);
    const std::vector<bool> last = last_reads_of_residuals(steps, network.graph(), plan);
    for (std::size_t i = 0; i < steps.size(); ++i) {
      if (last[i]) out.push_back(network.graph().node(steps[i].first).name);
    }
    return out;
  };
  CHECK(last_readers({small_resnet(), random_weights(small_resnet(), 1)}) ==
        std::vector<std::string>{"layer1.0.conv3", "layer1.1.conv3", "layer1.2.conv3"});

  // conv2's residual is also conv2's input, conv3's has another reader after it, and conv4's has none.
  Graph graph;
  const NodeId x = graph.add("conv1", Conv2d{.in = 3, .out = 4}, {graph.add("input", Input{3}, {})});
  const NodeId sum2 = graph.add("sum2", Add{}, {graph.add("conv2", Conv2d{.in = 4, .out = 4}, {x}), x});
  const NodeId sum3 = graph.add("sum3", Add{}, {graph.add("conv3", Conv2d{.in = 4, .out = 4}, {sum2}), x});
  const NodeId sum4 = graph.add("sum4", Add{}, {graph.add("conv4", Conv2d{.in = 4, .out = 4}, {sum3}), x});
  graph.add("fc", Linear{4, 2}, {graph.add("avgpool", GlobalAvgPool{}, {sum4})});
  CHECK(last_readers({graph, random_weights(graph, 1)}) == std::vector<std::string>{"conv4"});
}

TEST_CASE("every step comes after what it reads") {
  const Network network = trained_network(full_spec());
  std::vector<bool> known(network.graph().nodes().size(), false);
  known[0] = true;
  for (const FusedStep& step : fuse(network, make_plan(network))) {
    for (const NodeId input : step.inputs(network.graph())) CHECK(known[input]);
    known[step.output] = true;
  }
  CHECK(known.back());
}

TEST_CASE("a frozen Linear takes up GELU, LayerScale and the residual sum") {
  CHECK(steps_text(Network(small_vit(), random_weights(small_vit(), 1))) ==
        std::vector<std::string>{"patch_embed.proj",
                                 "patch_embed.tokens",
                                 "cls_token",
                                 "pos_embed",
                                 "blocks.0.norm1",
                                 "blocks.0.attn.qkv",
                                 "blocks.0.attn",
                                 "blocks.0.attn.proj+pos_embed>blocks.0.add1",
                                 "blocks.0.norm2",
                                 "blocks.0.mlp.fc1>blocks.0.mlp.act",
                                 "blocks.0.mlp.fc2+blocks.0.add1>blocks.0.add2",
                                 "blocks.1.norm1",
                                 "blocks.1.attn.qkv",
                                 "blocks.1.attn",
                                 "blocks.1.attn.proj+blocks.0.add2>blocks.1.add1",
                                 "blocks.1.norm2",
                                 "blocks.1.mlp.fc1>blocks.1.mlp.act",
                                 "blocks.1.mlp.fc2+blocks.1.add1>blocks.1.add2",
                                 "norm",
                                 "class",
                                 "head"});
  // One that learns whole stays alone, and so does GELU after it.
  const auto steps = steps_text(trained_network(spec_for("", {"mlp.fc1"}), 1, small_vit()));
  CHECK(has(steps, "blocks.1.mlp.fc1"));
  CHECK(has(steps, "blocks.1.mlp.act"));
}

TEST_CASE("LayerScale and smooth activations run inside their layers' steps, with the same values and gradients") {
  Graph graph;
  const NodeId input = graph.add("input", Input{3}, {});
  NodeId x = graph.add("conv", Conv2d{.in = 3, .out = 8, .bias = true}, {input});
  x = graph.add("act", HardSwish{}, {x});
  const NodeId shortcut = x;
  x = graph.add("conv2", Conv2d{.in = 8, .out = 8, .kernel = {3, 3}, .padding = {1, 1}}, {x});
  x = graph.add("bn2", BatchNorm2d{8}, {x});
  x = graph.add("act2", Silu{}, {x});
  x = graph.add("conv3", Conv2d{.in = 8, .out = 8, .bias = true}, {x});
  x = graph.add("gamma", LayerScale{8, true}, {x});
  x = graph.add("add", Add{}, {x, shortcut});
  x = graph.add("act3", Gelu{}, {x});
  x = graph.add("pool", GlobalAvgPool{}, {x});
  graph.add("fc", Linear{8, 5}, {x});
  for (const std::string& targets : {std::string("conv"), std::string("conv2"), std::string("conv3")}) {
    const Network network = trained_network(spec_for(targets), 1, graph);
    CHECK(steps_text(network) ==
          std::vector<std::string>{"conv>act", "conv2+bn2>act2", "conv3+act>act3", "pool", "fc"});
    std::vector<std::vector<at::Tensor>> gradients;
    for (const EngineKind kind : {EngineKind::kPlain, EngineKind::kFused}) {
      const auto executor = make_executor(kind, network, {});
      const at::Tensor logits = executor->run_suffix(executor->run_prefix(some_images()), true);
      CHECK(relative(logits.detach(), evaluate(network, some_images()).detach()) < 1e-5);
      logits.square().sum().backward();
      gradients.emplace_back();
      for (auto& [name, tensor] : network.trainable()) {
        gradients.back().push_back(tensor.grad().clone());
        tensor.mutable_grad() = at::Tensor();
      }
    }
    for (std::size_t i = 0; i < gradients[0].size(); ++i) CHECK(relative(gradients[1][i], gradients[0][i]) < 1e-5);
  }
}
