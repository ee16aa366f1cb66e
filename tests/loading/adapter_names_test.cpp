#include "loading/adapter_names.h"

#include <ATen/Functions.h>
#include <doctest/doctest.h>

#include "adapters/matching.h"
#include "models/models.h"
#include "models/transformers_config.h"

using namespace lorikeet;

namespace {

using NameList = std::vector<std::string>;

ModelEntry small_entry(const char* type) {
  return transformers_model({{"model_type", type},
                             {"hidden_size", 12},
                             {"num_hidden_layers", 2},
                             {"num_attention_heads", 3},
                             {"intermediate_size", 20},
                             {"image_size", 8},
                             {"patch_size", 4},
                             {"num_labels", 5}});
}

NameList target_names(const ModelEntry& entry, ModulePattern targets) {
  AdapterConfig config;
  config.target_modules = std::move(targets);
  const Graph graph = entry.build();
  use_current_names(config, entry, graph);
  NameList out;
  for (const auto& target : match_modules(graph, config).targets) out.push_back(graph.node(target.node).name);
  return out;
}

}  // namespace

TEST_CASE("targets by transformers 4's names are those of transformers 5") {
  const ModelEntry vit = small_entry("vit"), dinov2 = small_entry("dinov2");
  const NameList query_value{"vit.layers.0.attention.q_proj", "vit.layers.0.attention.v_proj",
                             "vit.layers.1.attention.q_proj", "vit.layers.1.attention.v_proj"};
  CHECK(target_names(vit, NameList{"query", "value"}) == query_value);
  CHECK(target_names(vit, NameList{"q_proj", "v_proj"}) == query_value);
  CHECK(target_names(vit, std::string(R"(vit\.encoder\.layer\.1\.(intermediate|output)\.dense)")) ==
        NameList{"vit.layers.1.mlp.fc1", "vit.layers.1.mlp.fc2"});
  CHECK(target_names(dinov2, NameList{"attention.output.dense"}) ==
        NameList{"dinov2.encoder.layer.0.attention.o_proj", "dinov2.encoder.layer.1.attention.o_proj"});
  CHECK(target_names(dinov2, NameList{"fc1"}).size() == 2);  // called so in both
}

TEST_CASE("a folder is taken by the names of its tensors; what fits neither stays as it is") {
  const ModelEntry vit = small_entry("vit");
  const Graph graph = vit.build();
  AdapterFolder folder;
  folder.spec.config.target_modules = NameList{"key"};
  folder.tensors.add("vit.encoder.layer.0.attention.attention.key.lora_A.weight", at::zeros({1}));
  CHECK(use_current_names(folder, vit, graph));
  CHECK(folder.tensors.contains("vit.layers.0.attention.k_proj.lora_A.weight"));
  CHECK((folder.spec.config.target_modules ==
         ModulePattern(NameList{"vit.layers.0.attention.k_proj", "vit.layers.1.attention.k_proj"})));
  CHECK_FALSE(use_current_names(folder, vit, graph));
  folder.tensors.add("vit.other.lora_A.weight", at::zeros({1}));
  CHECK_FALSE(use_current_names(folder, vit, graph));
  const ModelEntry& resnet = find_model("resnet18");
  CHECK_FALSE(use_current_names(folder, resnet, resnet.build()));
}
