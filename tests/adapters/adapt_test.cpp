#include "adapters/adapt.h"

#include <ATen/Functions.h>  // before doctest: c10 defines a CHECK macro too
#include <doctest/doctest.h>

#include "graph/small_graphs.h"
#include "lorikeet/error.h"

using namespace lorikeet;

namespace {

AdapterSpec spec_for(const std::string& targets, std::vector<std::string> saved) {
  AdapterSpec spec;
  if (!targets.empty()) spec.config.target_modules = targets;
  spec.config.modules_to_save = std::move(saved);
  spec.config.r = 2;
  return spec;
}

// "name(shape) …" of what is learned.
std::string learned(const Adaptation& adaptation) {
  std::string out;
  for (const auto& parameter : trainable_parameters(adaptation)) {
    CHECK_FALSE(parameter.buffer);
    out += (out.empty() ? "" : " ") + parameter.name + shape_text(parameter.shape);
  }
  return out;
}

void refused_target(const AdapterSpec& spec, const char* because) {
  CHECK_THROWS_WITH_AS(adapt(small_resnet(), spec), doctest::Contains(because), UsageError);
}

}  // namespace

TEST_CASE("what is learned: the matrices, the retrained modules without statistics, the head") {
  AdapterSpec spec = spec_for(R"(layer1\.2\.conv[23])", {"fc", "layer1.0.bn1"});
  spec.head = Head{{7}, 3};
  const Adaptation adaptation = adapt(small_resnet(), spec);
  CHECK(learned(adaptation) ==
        "layer1.2.conv2.lora_A.weight(2, 4, 3, 3) layer1.2.conv2.lora_B.weight(4, 2, 1, 1) "
        "layer1.2.conv3.lora_A.weight(2, 4, 1, 1) layer1.2.conv3.lora_B.weight(8, 2, 1, 1) "
        "layer1.0.bn1.weight(4,) layer1.0.bn1.bias(4,) fc.weight(5, 8) fc.bias(5,) "
        "head.0.weight(7, 5) head.0.bias(7,) head.1.weight(3, 7) head.1.bias(3,)");
  CHECK(count_trainable(adaptation) == 72 + 8 + 8 + 16 + 8 + 45 + 42 + 24);
  CHECK_FALSE(adaptation.replaced);
}

TEST_CASE("a head's layers follow the output and one another, with ReLU between them where asked") {
  AdapterSpec spec = spec_for("", {});
  for (const auto activation : {Activation::kNone, Activation::kRelu}) {
    spec.head = Head{{7, 6}, 3, activation};
    const Adaptation adaptation = adapt(small_resnet(), spec);
    const Graph& graph = adaptation.graph;
    CHECK(graph.nodes().size() == small_resnet().nodes().size() + (activation == Activation::kRelu ? 5 : 3));
    CHECK(graph.node(graph.output()).name == "head.2");
    CHECK(output_features(graph) == 3);
    REQUIRE(adaptation.head.size() == 3);
    const NodeId before = graph.node(adaptation.head[1]).inputs[0];
    CHECK(graph.node(before).name == (activation == Activation::kRelu ? "head.0.relu" : "head.0"));
    CHECK(graph.node(adaptation.head[0]).inputs == std::vector<NodeId>{*graph.find("fc")});
    CHECK(std::get<Linear>(graph.node(adaptation.head[1]).op).in == 7);
  }
  spec.head = Head{{}, 10};
  CHECK(learned(adapt(small_resnet(), spec)) == "head.0.weight(10, 5) head.0.bias(10,)");
}

TEST_CASE("a replaced output is retrained and sized anew; the base graph stays") {
  const Graph base = small_resnet();
  AdapterSpec spec = spec_for("", {"fc"});
  spec.output_classes = 10;
  const Adaptation adaptation = adapt(base, spec);
  CHECK(adaptation.replaced == base.output());
  CHECK(learned(adaptation) == "fc.weight(10, 8) fc.bias(10,)");
  CHECK(output_features(base) == 5);
  spec.head = Head{{}, 4};
  CHECK(learned(adapt(base, spec)) == "fc.weight(10, 8) fc.bias(10,) head.0.weight(4, 10) head.0.bias(4,)");
}

TEST_CASE("a small output has its own tensors instead of a weight") {
  const Graph base = small_resnet();
  AdapterSpec spec = spec_for("", {"fc"});
  spec.output_classes = 10;
  const auto learned_by = [&](SmallOutput output) {
    spec.small_output = output;
    return learned(adapt(base, spec));
  };
  CHECK(learned_by({SmallOutput::Form::kLowRank, 2}) == "fc.head_A(2, 8) fc.head_B(10, 2) fc.bias(10,)");
  CHECK(learned_by({SmallOutput::Form::kProjected, 3}) == "fc.head_V(10, 3) fc.bias(10,)");
  CHECK(learned_by({SmallOutput::Form::kTied, 7}) == "fc.head_v(7,) fc.bias(10,)");
  CHECK(count_trainable(adapt(base, spec)) == 17);
  CHECK_THROWS_WITH_AS(learned_by({SmallOutput::Form::kProjected, 6, SmallOutput::Basis::kOutput}),
                       doctest::Contains("head: projected: got 6, expected 1 to 5"), UsageError);
}

TEST_CASE("nothing to learn is a network as it was") {
  const Adaptation adaptation = adapt(small_resnet(), AdapterSpec{});
  CHECK(trainable_parameters(adaptation).empty());
  CHECK(count_trainable(adaptation) == 0);
}

TEST_CASE("impossible adapters are refused") {
  const auto refused = [](const Graph& graph, const AdapterSpec& spec, const char* because) {
    CHECK_THROWS_WITH_AS(adapt(graph, spec), doctest::Contains(because), UsageError);
  };
  AdapterSpec spec = spec_for("", {"layer1.0.conv1"});
  spec.output_classes = 10;
  refused(small_resnet(), spec, "got no 'fc', expected it with a replaced output");
  spec = spec_for("", {"fc"});
  for (const std::int64_t classes : {0, -1, 1'000'001}) {
    spec.output_classes = classes;
    refused(small_resnet(), spec, " classes, expected 1 to 1000000");
  }
  spec = spec_for("", {});
  spec.head = Head{{0}, 10};
  refused(small_resnet(), spec, "got 0 hidden features");
  spec.head = Head{{}, 0};
  refused(small_resnet(), spec, "got 0 classes");
  spec = spec_for("", {"fc"});
  spec.config.bias = TrainedBias::kLoraOnly;
  spec.config.target_modules = std::string(R"(layer1\.2\.conv3)");
  CHECK_NOTHROW(adapt(small_resnet(), spec));  // PEFT saves such an adapter; only whoever asks for it is told
  CHECK_THROWS_WITH_AS(check_every_entry_matches(small_resnet(), spec.config),
                       doctest::Contains("bias: got lora_only, but no layer with LoRA has a bias"), UsageError);
  spec.config.target_modules = std::string(R"(layer1\.2\.conv3|fc)");  // one with, one without
  spec.config.modules_to_save = {};
  CHECK_NOTHROW(check_every_entry_matches(small_resnet(), spec.config));
  CHECK(adapt(small_resnet(), spec).biases.size() == 1);
}

TEST_CASE(
    "biases: all there are but those of retrained modules, or those of the layers with LoRA, under PEFT's names") {
  AdapterSpec spec = spec_for(R"(layer1\.2\.conv3|fc)", {"layer1.2.bn3"});
  spec.config.bias = TrainedBias::kLoraOnly;
  CHECK(learned(adapt(small_resnet(), spec)) ==
        "layer1.2.conv3.lora_A.weight(2, 4, 1, 1) layer1.2.conv3.lora_B.weight(8, 2, 1, 1) fc.lora_A.weight(2, 8) "
        "fc.lora_B.weight(5, 2) "
        "fc.base_layer.bias(5,) layer1.2.bn3.weight(8,) layer1.2.bn3.bias(8,)");
  spec.config.target_modules = {};
  spec.config.bias = TrainedBias::kAll;  // BitFit
  const std::string all = learned(adapt(small_resnet(), spec));
  CHECK(all.find("bn1.bias(8,) layer1.0.bn1.bias(4,)") == 0);
  CHECK(all.find(" fc.bias(5,) layer1.2.bn3.weight(8,) layer1.2.bn3.bias(8,)") != std::string::npos);
  CHECK(all.find("layer1.2.bn3.bias") == all.rfind("layer1.2.bn3.bias"));
}

TEST_CASE("norm tuning learns weight and bias, and keeps the statistics beside them") {
  AdapterSpec spec = spec_for(R"(layer1\.2\.bn3)", {});
  spec.config.peft_type = PeftType::kLnTuning;
  const Adaptation adaptation = adapt(small_resnet(), spec);
  CHECK(learned(adaptation) == "layer1.2.bn3.ln_tuning_layers.weight(8,) layer1.2.bn3.ln_tuning_layers.bias(8,)");
  CHECK(adapter_parameters(adaptation).size() == 4);
  spec.config.target_modules = std::string("layer1.2.conv3");
  refused_target(spec,
                 "matches layer1.2.conv3, a Conv2d, expected only BatchNorm2d and LayerNorm, where norm tuning can go");
}

TEST_CASE("an adapter that is larger than its layer is named, with both counts") {
  AdapterSpec spec = spec_for(R"(layer1\.2\.conv[13])", {});
  spec.config.r = 2;
  CHECK(oversized_adapters(adapt(small_resnet(), spec)).empty());  // 2·8 + 2·4 numbers for a layer of 32
  spec.config.rank_pattern = {{"conv3", 3}};
  const auto found = oversized_adapters(adapt(small_resnet(), spec));
  REQUIRE(found.size() == 1);
  CHECK(found[0].name == "layer1.2.conv3");
  CHECK(found[0].adapter == 3 * 4 + 8 * 3);
  CHECK(found[0].layer == 32);
}
