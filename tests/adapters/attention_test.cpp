#include "adapters/attention.h"

#include <doctest/doctest.h>

#include "adapters/adapt.h"
#include "adapters/matching.h"
#include "graph/small_graphs.h"
#include "lorikeet/error.h"

using namespace lorikeet;

namespace {

const std::string kAttention = "encoder.layers.encoder_layer_1.self_attention";

AdapterConfig on(ModulePattern targets) {
  AdapterConfig config;
  config.r = 2;
  config.lora_alpha = 3;
  config.target_modules = std::move(targets);
  return config;
}

void refused_target(const AdapterConfig& config, const char* because) {
  CHECK_THROWS_WITH_AS(check_every_entry_matches(small_torchvision_vit(), config), doctest::Contains(because),
                       UsageError);
}

}  // namespace

TEST_CASE("the module is found by its structure and its names") {
  const Graph graph = small_torchvision_vit();
  const NodeId in_proj = graph.find(kAttention).value(), out_proj = graph.find(kAttention + ".out_proj").value();
  CHECK(out_proj_of_attention(graph, in_proj) == out_proj);
  CHECK(attention_of_out_proj(graph, out_proj) == in_proj);
  CHECK_FALSE(out_proj_of_attention(graph, out_proj).has_value());
  CHECK_FALSE(attention_of_out_proj(graph, in_proj).has_value());
  const Graph timm = small_vit();  // qkv and proj are modules of their own there
  for (NodeId id = 1; id < timm.nodes().size(); ++id) {
    CHECK_FALSE(out_proj_of_attention(timm, id).has_value());
    CHECK_FALSE(attention_of_out_proj(timm, id).has_value());
  }
}

TEST_CASE("a target adapts in_proj and out_proj, under PEFT's keys, with one rank and the second's scale doubled") {
  const Graph graph = small_torchvision_vit();
  AdapterConfig config = on(kAttention);
  config.rank_pattern = {{"out_proj", 4}};  // not looked at, as in PEFT
  config.exclude_modules = std::vector<std::string>{"out_proj"};
  const auto targets = match_modules(graph, config).targets;
  REQUIRE(targets.size() == 2);
  CHECK(module_name(graph, targets[0]) == kAttention);
  CHECK(module_name(graph, targets[1]) == kAttention + ".base_layer.out_proj");
  CHECK(targets[1].rank == 2);
  CHECK(targets[0].scaling == 1.5);
  CHECK(targets[1].scaling == 3);
  config.bias = TrainedBias::kLoraOnly;
  std::vector<std::string> keys;
  for (const auto& parameter : adapter_parameters(adapt(graph, {config, {}, {}})))
    keys.push_back(parameter.name.substr(kAttention.size()));
  const std::vector<std::string> expected{".lora_A.weight", ".lora_B.weight", ".base_layer.out_proj.lora_A.weight",
                                          ".base_layer.out_proj.lora_B.weight", ".base_layer.out_proj.base_layer.bias"};
  CHECK(keys == expected);
  AdapterConfig dora = on(kAttention);
  dora.use_dora = true;  // which PEFT does not have there
  CHECK(match_modules(graph, dora).targets[1].scaling == 1.5);
}

TEST_CASE("what PEFT ignores is refused: out_proj alone, out_proj beside the attention, a bias in B") {
  refused_target(on(std::vector<std::string>{"out_proj"}),
                 "encoder_layer_0.self_attention.out_proj but not encoder.layers.encoder_layer_0.self_attention");
  refused_target(on(std::vector<std::string>{"out_proj", "self_attention"}), "expected only the first");
  AdapterConfig config = on(kAttention);
  config.lora_bias = true;
  refused_target(config, "lora_bias: got it on encoder.layers.encoder_layer_1.self_attention, an attention");
  CHECK(match_modules(small_torchvision_vit(), on(std::vector<std::string>{"out_proj"})).targets.size() == 2);
}
