#include "adapters/renamed_adapter.h"

#include <ATen/Functions.h>
#include <doctest/doctest.h>

#include "adapters/matching.h"
#include "graph/small_graphs.h"

using namespace lorikeet;

namespace {

using NameList = std::vector<std::string>;

// One network under two sets of names.
Graph old_names() {
  return conv_chain({"stem", "encoder.layer.0.query", "encoder.layer.1.query", "encoder.layer.1.out"});
}
Graph new_names() { return conv_chain({"stem", "layers.0.q_proj", "layers.1.q_proj", "layers.1.o_proj"}); }

std::vector<std::string> target_names(const Graph& graph, const AdapterConfig& config) {
  NameList out;
  for (const auto& target : match_modules(graph, config).targets) out.push_back(graph.node(target.node).name);
  return out;
}

AdapterFolder old_folder() {
  AdapterFolder out;
  AdapterConfig& config = out.spec.config;
  config.r = 2;
  config.target_modules = NameList{"query", "stem"};
  config.exclude_modules = std::string("stem");
  config.rank_pattern = {{"layer.1.query", 3}};
  config.alpha_pattern = {{"encoder.*", 5}};
  config.modules_to_save = {"out", "fc"};
  for (const char* key : {"encoder.layer.0.query.lora_A.weight", "encoder.layer.1.query.lora_B.weight",
                          "encoder.layer.1.out.weight", "fc.bias", "head.0.weight"})
    out.tensors.add(key, at::zeros({1}));
  return out;
}

}  // namespace

TEST_CASE("the tensors say which names an adapter has") {
  const AdapterFolder folder = old_folder();
  CHECK(has_names_of(folder.tensors, old_names()));
  CHECK_FALSE(has_names_of(folder.tensors, new_names()));
  NamedTensors both;
  both.add("fc.weight", at::zeros({1}));
  CHECK(has_names_of(both, old_names()));
  CHECK(has_names_of(both, new_names()));
}

TEST_CASE("a folder under other names has the same adapters, ranks and scales there") {
  const AdapterFolder out = renamed_adapter(old_folder(), old_names(), new_names());
  const AdapterConfig& config = out.spec.config;
  CHECK((config.target_modules == ModulePattern(NameList{"layers.0.q_proj", "layers.1.q_proj"})));
  CHECK((config.exclude_modules == ModulePattern()));
  CHECK(config.modules_to_save == NameList{"layers.1.o_proj", "fc"});
  const auto before = match_modules(old_names(), old_folder().spec.config).targets,
             after = match_modules(new_names(), config).targets;
  REQUIRE(before.size() == after.size());
  for (std::size_t i = 0; i < before.size(); ++i) {
    CHECK(after[i].node == before[i].node);
    CHECK(after[i].rank == before[i].rank);
    CHECK(after[i].scaling == before[i].scaling);
  }
  NameList keys;
  for (const auto& [key, tensor] : out.tensors) keys.push_back(key);
  const NameList expected{"layers.0.q_proj.lora_A.weight", "layers.1.q_proj.lora_B.weight", "layers.1.o_proj.weight",
                          "fc.bias", "head.0.weight"};
  CHECK(keys == expected);
}

TEST_CASE("expressions, feedforward modules and numbers of layers are renamed by what they match") {
  AdapterConfig config;
  config.target_modules = std::string(R"(encoder\.layer\.\d\.(query|out))");
  CHECK(target_names(new_names(), renamed_config(config, old_names(), new_names())) ==
        NameList{"layers.0.q_proj", "layers.1.q_proj", "layers.1.o_proj"});
  config.target_modules = NameList{"query"};
  config.layers_to_transform = {1};
  config.layers_pattern = {"layer"};
  CHECK(target_names(new_names(), renamed_config(config, old_names(), new_names())) == NameList{"layers.1.q_proj"});
  AdapterConfig ia3;
  ia3.peft_type = PeftType::kIa3;
  ia3.target_modules = NameList{"query", "out"};
  ia3.feedforward_modules = NameList{"out"};
  const AdapterConfig renamed = renamed_config(ia3, old_names(), new_names());
  CHECK((renamed.feedforward_modules == ModulePattern(NameList{"layers.1.o_proj"})));
  check_adapter_config(renamed, "renamed");
}
