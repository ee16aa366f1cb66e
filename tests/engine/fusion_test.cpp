#include "engine/fusion.h"

#include <ATen/Functions.h>  // before doctest: c10 defines a CHECK macro too
#include <doctest/doctest.h>

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
