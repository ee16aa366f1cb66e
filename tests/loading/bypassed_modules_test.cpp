#include "loading/bypassed_modules.h"

#include <doctest/doctest.h>

#include "loading/adapter_names.h"
#include "models/models.h"

using namespace lorikeet;

namespace {

std::vector<std::string> bypassed(const char* model, ModulePattern targets) {
  AdapterConfig config;
  config.target_modules = std::move(targets);
  const Graph graph = find_model(model).build();
  return bypassed_modules(find_model(model), graph, match_modules(graph, config).targets);
}

std::vector<std::string> target_notes(const char* model, ModulePattern targets) {
  AdapterConfig config;
  config.target_modules = std::move(targets);
  return resolve_targets(config, find_model(model), find_model(model).build());
}

}  // namespace

TEST_CASE("torchvision's window attention reads the weights of its projections without calling them") {
  using Names = std::vector<std::string>;
  for (const char* model : {"swin_t", "swin_v2_t"}) {
    CAPTURE(model);
    CHECK(bypassed(model, std::string(R"(features\.[13]\.1\.(attn\.(qkv|proj)|mlp\.[03]))")) ==
          Names{"features.1.1.attn.qkv", "features.1.1.attn.proj", "features.3.1.attn.qkv", "features.3.1.attn.proj"});
    CHECK(bypassed(model, Names{"qkv"}).size() == 12);
    CHECK(bypassed(model, Names{"mlp.0", "reduction", "head"}).empty());
  }
  CHECK(bypassed("swin_v2_t", Names{"cpb_mlp.0", "cpb_mlp.2"}).empty());
  CHECK(bypassed("swin_tiny_patch4_window7_224", Names{"qkv", "proj"}).empty());
  CHECK(bypassed("vit_b_16", Names{"self_attention"}).empty());  // PEFT has a layer for MultiheadAttention
}

TEST_CASE("a note says which targets PEFT has to merge") {
  const auto notes = target_notes("swin_t", std::vector<std::string>{"qkv", "mlp.0"});
  REQUIRE(notes.size() == 1);
  CHECK(notes[0] ==
        "features.1.0.attn.qkv and 11 more: torchvision reads the weight without calling the module, so PEFT's adapter "
        "has no effect there until merge_and_unload()");
  CHECK(target_notes("swin_t", std::vector<std::string>{"mlp.0"}).empty());
  CHECK(target_notes("swin_t", std::string("auto")).size() == 2);
  CHECK(target_notes("swin_tiny_patch4_window7_224", std::string("auto")).size() == 1);
}
