#include "adapters/peft_support.h"

#include <doctest/doctest.h>

#include "graph/small_graphs.h"
#include "refusal.h"

using namespace lorikeet;

namespace {

std::string obstacle(PeftType type, const std::vector<std::string>& targets) {
  const Graph graph = small_resnet();
  AdapterSpec spec;
  spec.config.peft_type = type;
  spec.config.target_modules = targets;
  spec.config.fourierft.n_frequency = 4;
  return peft_obstacle(graph, adapt(graph, spec));
}

}  // namespace

TEST_CASE("PEFT's methods for Linear layers are not promised on convolutions, and what it does not have nowhere") {
  for (const PeftType type : {PeftType::kVera, PeftType::kUniLora, PeftType::kTinyLora, PeftType::kFourierFt}) {
    CAPTURE(name_of(type));
    CHECK(obstacle(type, {"fc"}).empty());
    CHECK(obstacle(type, {"fc", "conv1"}) == has("PEFT 0.21 adapts Linear layers only with "));
    CHECK(obstacle(type, {"fc", "conv1"}) == has("conv1)"));
  }
  CHECK(obstacle(PeftType::kLoraXs, {"fc"}) == "PEFT 0.21 does not have LoRA-XS (fc)");
  CHECK(obstacle(PeftType::kLora, {"fc", "conv1"}).empty());
}
