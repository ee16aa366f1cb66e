#include "engine/plan.h"

#include <ATen/Functions.h>  // before doctest: c10 defines a CHECK macro too
#include <doctest/doctest.h>

#include <algorithm>

#include "engine/small_networks.h"

using namespace lorikeet;

namespace {

// The segments in runs of nodes ("30. 1T 5d": frozen, trained, differentiable); the names of the frontier after them.
std::string plan_text(const AdapterSpec& spec) {
  const Network network = trained_network(spec);
  const Plan plan = make_plan(network);
  std::string out;
  const auto& segments = plan.segment;
  for (auto run = segments.begin(); run != segments.end();) {
    const auto end = std::find_if(run, segments.end(), [&](Segment s) { return s != *run; });
    out += std::to_string(end - run) +
           (*run == Segment::kFrozenPrefix ? "."
            : *run == Segment::kTrained    ? "T"
                                           : "d") +
           " ";
    run = end;
  }
  out += "|";
  for (const NodeId id : plan.frontier) out += " " + network.graph().node(id).name;
  return out;
}

}  // namespace

TEST_CASE("segments: frozen before anything learns, trained where it does, differentiable after that") {
  // Four nodes of input and stem; three blocks of ten, whose conv3 is the seventh and bn3 the eighth; pool, fc.
  CHECK(plan_text(spec_for("")) == "36. | fc");
  CHECK(plan_text(spec_for("fc")) == "35. 1T | avgpool");
  CHECK(plan_text(spec_for("", {"fc"})) == "35. 1T | avgpool");
  CHECK(plan_text(spec_for(R"(layer1\.2\.conv3)")) == "30. 1T 5d | layer1.2.relu_1 layer1.1.relu_2");
  CHECK(plan_text(spec_for(R"(layer1\.2\.conv1)")) == "24. 1T 11d | layer1.1.relu_2");
  CHECK(plan_text(spec_for("conv1")) == "1. 1T 34d | input");
  CHECK(plan_text(spec_for(R"(conv1|layer1\.1\.conv1)")) == "1. 1T 12d 1T 21d | input");
  CHECK(plan_text(spec_for("", {"layer1.2.bn3"})) == "31. 1T 4d | layer1.2.conv3 layer1.1.relu_2");
}

TEST_CASE("a head alone leaves the whole network in the prefix") {
  AdapterSpec spec = spec_for("");
  spec.head = Head{{7}, 4, Activation::kRelu};
  CHECK(plan_text(spec) == "36. 1T 1d 1T | fc");
}

TEST_CASE("a network without an adapter is all prefix") {
  const Network network(small_resnet(), random_weights(small_resnet(), 1));
  const Plan plan = make_plan(network);
  CHECK(plan.frontier == std::vector<NodeId>{network.graph().output()});
  CHECK(frontier_bytes(plan, network.graph(), {13, 13, 4}) == 5 * 4);
}
