// The article's four cases on ResNet-50: trainable parameters and the end of the frozen prefix. The test is here
// because models and adapters do not depend on each other.
#include <ATen/Functions.h>
#include <doctest/doctest.h>

#include "engine/plan.h"
#include "lorikeet/error.h"
#include "models/resnet.h"

using namespace lorikeet;

namespace {

Graph resnet50() { return build_resnet({.blocks = {3, 4, 6, 3}, .bottleneck = true}); }

AdapterSpec article(const ModulePattern& targets, std::vector<std::string> saved, std::int64_t rank = 4) {
  AdapterSpec spec;
  spec.config.r = rank;
  spec.config.target_modules = targets;
  spec.config.modules_to_save = std::move(saved);
  return spec;
}

const Head kThreeLayers{{512, 256}, 10};

AdapterSpec case1() {
  AdapterSpec spec;
  spec.head = kThreeLayers;
  return spec;
}
AdapterSpec case2(std::int64_t rank) {
  AdapterSpec spec = article(std::string(R"(.*\.2\.conv3)"), {"fc"}, rank);
  spec.head = kThreeLayers;
  return spec;
}
AdapterSpec case3() {
  AdapterSpec spec = article(std::string(R"(.*\.2\.conv[123])"), {"fc"});
  spec.head = Head{{}, 10};
  return spec;
}
AdapterSpec case4() {
  AdapterSpec spec = article({}, {"fc"});
  spec.output_classes = 10;
  return spec;
}

// Weights by shape alone: a plan asks for no numbers.
Network network_for(const AdapterSpec& spec) {
  NamedTensors weights;
  for (const auto& parameter : resnet50().parameters())
    weights.add(parameter.name, at::zeros({}).expand(parameter.shape));
  return {adapt(resnet50(), spec), weights, 0};
}

std::vector<std::string> frontier_of(const AdapterSpec& spec) {
  const Network network = network_for(spec);
  std::vector<std::string> names;
  for (const NodeId id : make_plan(network).frontier) names.push_back(network.graph().node(id).name);
  return names;
}

}  // namespace

TEST_CASE("the article's cases learn as many numbers as the article says") {
  CHECK(count_trainable(adapt(resnet50(), case1())) == 646'410);
  CHECK(count_trainable(adapt(resnet50(), case2(4))) == 2'714'610);
  CHECK(count_trainable(adapt(resnet50(), case2(8))) == 2'733'810);
  CHECK(count_trainable(adapt(resnet50(), case3())) == 2'135'810);
  CHECK(count_trainable(adapt(resnet50(), case4())) == 20'490);
}

TEST_CASE("the frozen prefix reaches up to what is learned first, and past it where a residual starts") {
  using Names = std::vector<std::string>;
  CHECK(frontier_of(case1()) == Names{"fc"});
  CHECK((frontier_of(case2(4)) == Names{"layer1.2.relu_1", "layer1.1.relu_2"}));
  CHECK(frontier_of(case3()) == Names{"layer1.1.relu_2"});
  CHECK(frontier_of(case4()) == Names{"avgpool"});
}

TEST_CASE("the frontier's size follows from the shapes") {
  const Network network = network_for(case2(4));
  // 28 pixels are 7 in layer1: 64 channels of the one, 256 of the other.
  CHECK(frontier_bytes(make_plan(network), network.graph(), {28, 28, 4}) == (64 + 256) * 7 * 7 * 4);
  CHECK(frontier_bytes(make_plan(network), network.graph(), {224, 224, 2}) == (64 + 256) * 56 * 56 * 2);
}

TEST_CASE("the prefix is cut where its output fits and the most is saved") {
  const Network network = network_for(case2(4));
  const Plan whole = make_plan(network);
  const auto cut_at = [&](std::uint64_t limit) {
    std::vector<std::string> names;
    for (const NodeId id : cut_prefix(whole, network.graph(), {28, 28, 4}, limit).frontier)
      names.push_back(network.graph().node(id).name);
    return names;
  };
  using Names = std::vector<std::string>;
  CHECK((cut_at(62'720) == Names{"layer1.2.relu_1", "layer1.1.relu_2"}));
  CHECK(cut_at(62'719) == Names{"layer1.1.relu_2"});
  CHECK(cut_at(256 * 7 * 7 * 4) == Names{"layer1.1.relu_2"});
  CHECK((cut_at(256 * 7 * 7 * 4 - 1) == Names{"layer1.0.relu_1", "maxpool"}));
  CHECK(cut_at(64 * 7 * 7 * 4) == Names{"maxpool"});
  CHECK(
      (cut_at(64 * 7 * 7 * 4 - 1) == Names{"layer1.2.relu_1", "layer1.1.relu_2"}));  // nothing fits: the plan as it was
}

TEST_CASE("the article's '.*.2.conv' matches nothing under PEFT's rule, and the error says what it may have meant") {
  CHECK_THROWS_WITH_AS(adapt(resnet50(), article(std::string(".*.2.conv"), {"fc"})),
                       doctest::Contains("Near misses: layer1.2.conv1, layer1.2.conv2, layer1.2.conv3, "), UsageError);
}
