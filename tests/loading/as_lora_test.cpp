#include "loading/as_lora.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <doctest/doctest.h>

#include "graph/small_graphs.h"
#include "lorikeet/error.h"

using namespace lorikeet;

namespace {

// Convolutions of all kinds, then a Linear.
Graph kinds_of_layers() {
  Graph graph;
  NodeId x = graph.add("input", Input{3}, {});
  x = graph.add("stem", Conv2d{.in = 3, .out = 8, .kernel = {3, 3}, .stride = {2, 2}, .padding = {1, 1}}, {x});
  x = graph.add("pointwise", Conv2d{.in = 8, .out = 12}, {x});
  x = graph.add("grouped", Conv2d{.in = 12, .out = 6, .kernel = {3, 3}, .padding = {1, 1}, .groups = 3}, {x});
  x = graph.add("depthwise", Conv2d{.in = 6, .out = 6, .kernel = {3, 3}, .padding = {1, 1}, .groups = 6}, {x});
  x = graph.add("wide", Conv2d{.in = 6, .out = 24, .groups = 2}, {x});
  x = graph.add("avgpool", GlobalAvgPool{}, {x});
  graph.add("fc", Linear{24, 5}, {x});
  return graph;
}

AdapterFolder adapter_of(PeftType type) {
  AdapterFolder out;
  AdapterConfig& config = out.spec.config;
  config.peft_type = type;
  config.r = 3;
  config.target_modules = std::vector<std::string>{"stem", "pointwise", "grouped", "depthwise", "wide"};
  config.modules_to_save = {"fc"};
  config.tinylora = {.u = 4, .weight_tying = 0.5};
  out.spec.output_classes = 4;
  out.spec.small_output = SmallOutput{SmallOutput::Form::kProjected, 2};
  return out;
}

}  // namespace

TEST_CASE("an adapter of few numbers as LoRA computes the same, in PEFT's shapes") {
  const at::NoGradGuard no_grad;
  const Graph base = kinds_of_layers();
  const NamedTensors weights = random_weights(base, 1);
  for (const PeftType type : {PeftType::kLoraXs, PeftType::kTinyLora, PeftType::kVera, PeftType::kUniLora}) {
    CAPTURE(name_of(type));
    const AdapterFolder tiny = adapter_of(type);
    const Network network(adapt(base, tiny.spec), weights, /*seed=*/1);
    at::Generator generator = seeded(2);
    for (const auto& [name, tensor] : network.trainable())
      at::Tensor(tensor).add_(at::empty(tensor.sizes()).normal_(0, 0.3, generator));
    const AdapterFolder lora = as_lora(network, tiny, base);
    CHECK(lora.spec.config.peft_type == PeftType::kLora);
    const Adaptation adaptation = adapt(base, lora.spec);
    check_adapter_tensors(lora.tensors, adaptation, "as_lora");
    Network other(adaptation, weights, /*seed=*/3);
    other.load_adapter_tensors(lora.tensors);
    const NamedTensors expected = network.merged();
    for (const auto& [name, tensor] : other.merged()) {
      CAPTURE(name);
      CHECK(relative(tensor, *expected.find(name)) < 1e-6);
    }
    CHECK(relative(expected.find("stem.weight")->flatten(), weights.find("stem.weight")->flatten()) > 0.01);
    // A rank that PEFT accepts: a multiple of the groups, with A over all channels.
    CHECK(lora.tensors.find("grouped.lora_A.weight")->sizes() == at::IntArrayRef({6, 12, 3, 3}));
    CHECK(lora.tensors.find("depthwise.lora_A.weight")->sizes() == at::IntArrayRef({6, 6, 3, 3}));
    CHECK(lora.tensors.find("depthwise.lora_B.weight")->sizes() == at::IntArrayRef({6, 1, 1, 1}));
    CHECK(lora.tensors.find("wide.lora_B.weight")->sizes() == at::IntArrayRef({24, 3, 1, 1}));
    CHECK(lora.for_peft.find("fc.weight")->sizes() == at::IntArrayRef({4, 24}));
  }
}

TEST_CASE("methods that are not products of two matrices are refused, by the layer's name") {
  const Graph base = kinds_of_layers();
  AdapterFolder folder = adapter_of(PeftType::kLoha);
  const Network network(adapt(base, folder.spec), random_weights(base, 1), /*seed=*/1);
  CHECK_THROWS_WITH_AS(as_lora(network, folder, base), doctest::Contains("stem: got LoHa, expected a method"), Error);
}
