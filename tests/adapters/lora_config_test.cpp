#include "adapters/lora_config.h"

#include <doctest/doctest.h>

#include <limits>

#include "lorikeet/error.h"

using namespace lorikeet;

namespace {

LoraConfig parse(const std::string& fields) {
  return parse_lora_config(parse_json(R"({"peft_type": "LORA")" + (fields.empty() ? "" : ", " + fields) + "}", "file"), "file");
}

void refused(const std::string& fields, const std::string& because) {
  CAPTURE(fields);
  CHECK_THROWS_WITH_AS(parse(fields), doctest::Contains(because.c_str()), Error);
}

bool is_usage_error(const std::string& fields) {
  try {
    parse(fields);
  } catch (const UsageError&) {
    return true;
  } catch (const Error&) {
  }
  return false;
}

// In the shape that PEFT 0.21.0's LoraConfig.save_pretrained writes, with a value for every field that is read here.
constexpr const char* kPefts = R"({
  "alora_invocation_tokens": null,
  "alpha_pattern": {"conv3": 3.5, "conv1": 7},
  "arrow_config": null,
  "auto_mapping": {"base_model_class": "ResNet", "parent_library": "torchvision.models.resnet"},
  "base_model_name_or_path": "resnet50",
  "bias": "none",
  "corda_config": null,
  "ensure_weight_tying": false,
  "eva_config": null,
  "exclude_modules": ["layer4.2.conv3"],
  "fan_in_fan_out": false,
  "inference_mode": true,
  "init_lora_weights": "gaussian",
  "kasa_config": null,
  "layer_replication": null,
  "layers_pattern": "layer1",
  "layers_to_transform": 2,
  "loftq_config": {},
  "lora_alpha": 8,
  "lora_bias": false,
  "lora_dropout": 0.25,
  "lora_ga_config": null,
  "megatron_config": null,
  "megatron_core": "megatron.core",
  "modules_to_save": ["fc"],
  "monteclora_config": null,
  "peft_type": "LORA",
  "peft_version": "0.21.0",
  "qalora_group_size": 16,
  "r": 4,
  "rank_pattern": {"z": 2, "a": 3},
  "revision": null,
  "target_modules": ["conv3", "conv1"],
  "target_parameters": null,
  "task_type": null,
  "trainable_token_indices": null,
  "use_bdlora": null,
  "use_dora": false,
  "use_qalora": false,
  "use_rslora": true,
  "velora_config": null
})";

}  // namespace

TEST_CASE("a configuration of PEFT's is read") {
  const LoraConfig config = parse_lora_config(parse_json(kPefts, "file"), "file");
  CHECK(config.r == 4);
  CHECK(config.lora_alpha == 8);
  CHECK(config.lora_dropout == 0.25);
  CHECK((config.target_modules == ModulePattern(std::vector<std::string>{"conv3", "conv1"})));
  CHECK((config.exclude_modules == ModulePattern(std::vector<std::string>{"layer4.2.conv3"})));
  CHECK(config.modules_to_save == std::vector<std::string>{"fc"});
  CHECK((config.rank_pattern == PatternTable{{"z", 2}, {"a", 3}}));  // in the file's order, which counts
  CHECK((config.alpha_pattern == PatternTable{{"conv3", 3.5}, {"conv1", 7}}));
  CHECK(config.layers_to_transform == std::vector<std::int64_t>{2});
  CHECK(config.layers_pattern == std::vector<std::string>{"layer1"});
  CHECK(config.use_rslora);
  CHECK((config.init_lora_weights == LoraStart::kGaussian));
  CHECK(config.base_model_name_or_path == "resnet50");
}

TEST_CASE("a rewritten configuration says the same, keys sorted, unknown keys kept") {
  const Json before = parse_json(kPefts, "file");
  const Json after = lora_config_json(parse_lora_config(before, "file"));
  for (const auto& [key, value] : before.items()) {
    CAPTURE(key);
    REQUIRE(after.contains(key));
    const bool may_be_list = key == "layers_pattern" || key == "layers_to_transform";  // PEFT takes both
    const Json listed = may_be_list ? Json::array({value}) : value;
    CHECK(after[key].dump() == listed.dump());  // dump, because 8 and 8.0 are one number but two texts
  }
  std::string last;
  for (const auto& [key, value] : after.items()) {
    CHECK(last < key);
    last = key;
  }
  CHECK(lora_config_json(parse_lora_config(after, "file")).dump() == after.dump());
  const Json future = lora_config_json(parse(R"("some_future_key": {"deep": [1, 2.5, null]})"));
  CHECK(future["some_future_key"].dump() == R"({"deep":[1,2.5,null]})");
}

TEST_CASE("defaults are PEFT's, and no targets are its placeholder") {
  const LoraConfig config = parse("");
  CHECK(config.r == 8);
  CHECK(config.lora_alpha == 8);
  CHECK_FALSE(config.has_targets());
  const Json json = lora_config_json(config);
  CHECK(json["target_modules"] == "dummy-target-modules");
  CHECK(json["layers_to_transform"].is_null());
  CHECK_FALSE(parse_lora_config(json, "file").has_targets());
  CHECK(parse(R"("target_modules": "a|b")").target_modules == ModulePattern(std::string("a|b")));
  CHECK(lora_config_json(parse(R"("init_lora_weights": false)"))["init_lora_weights"] == false);
  CHECK(lora_config_json(parse(R"("init_lora_weights": "eva")"))["init_lora_weights"] == "eva");
}

TEST_CASE("methods and options that would change the numbers are refused, by name") {
  const Json other = parse_json(R"({"peft_type": "IA3"})", "file");
  CHECK_THROWS_WITH_AS(parse_lora_config(other, "file"), doctest::Contains("peft_type: got \"IA3\""), Error);
  CHECK_THROWS_WITH_AS(parse_lora_config(parse_json("{}", "file"), "file"), doctest::Contains("peft_type: got null"), Error);
  CHECK_THROWS_WITH_AS(parse_lora_config(parse_json("[]", "file"), "file"), doctest::Contains("got a list"), Error);
  for (const char* field : {R"("bias": "all")", R"("use_dora": true)", R"("lora_bias": true)", R"("fan_in_fan_out": true)",
                            R"("target_parameters": ["x"])", R"("trainable_token_indices": [1])",
                            R"("layer_replication": [[0, 1]])", R"("use_bdlora": {})", R"("alora_invocation_tokens": [1])",
                            R"("arrow_config": {})", R"("use_qalora": true)",
                            R"("kasa_config": {})", R"("monteclora_config": {})"}) {
    const std::string name = std::string(field).substr(1, std::string(field).find('"', 1) - 1);
    refused(field, "file: " + name + ": got ");
    refused(field, "not supported yet");
  }
  // These starts took something away from the base weights, so that the base alone is not what the adapter was trained on.
  for (const char* start : {"pissa", "pissa_niter_4", "olora", "corda", "loftq", "lora_ga"}) {
    refused(R"("init_lora_weights": ")" + std::string(start) + "\"", std::string("file: init_lora_weights: got \"") + start);
  }
}

TEST_CASE("values that cannot be are refused, by field") {
  refused(R"("r": 0)", "file: r: got 0");
  refused(R"("r": 70000)", "file: r: got 70000");
  refused(R"("r": -1)", "file: r: got -1");
  refused(R"("r": 4.5)", "file: r: got the number 4.5, expected a whole number");
  refused(R"("r": 18446744073709551615)", "file: r: got");
  refused(R"("r": null)", "file: r: got null");
  refused(R"("r": "4")", "file: r: got a string");
  refused(R"("lora_alpha": 0)", "file: lora_alpha: got 0");
  refused(R"("lora_alpha": "8")", "file: lora_alpha: got a string");
  refused(R"("lora_dropout": 1)", "file: lora_dropout: got 1");
  refused(R"("lora_dropout": -0.1)", "file: lora_dropout");
  refused(R"("use_rslora": 1)", "file: use_rslora: got the number 1");
  refused(R"("rank_pattern": {"a": 0})", "file: rank_pattern: got 0");
  refused(R"("rank_pattern": {"a": 2.5})", "file: rank_pattern: got 2.5");
  refused(R"("rank_pattern": ["a"])", "file: rank_pattern: got a list");
  refused(R"("alpha_pattern": {"a": true})", "file: alpha_pattern: got true");
  refused(R"("target_modules": [1])", "file: target_modules: got the number 1 in the list");
  refused(R"("target_modules": {})", "file: target_modules: got an object");
  refused(R"("modules_to_save": 3)", "file: modules_to_save: got the number 3");
  refused(R"("layers_to_transform": [0.5])", "file: layers_to_transform");
  refused(R"("base_model_name_or_path": 5)", "file: base_model_name_or_path");
  CHECK_FALSE(is_usage_error(R"("r": 0)"));  // the file is wrong, not the call

  LoraConfig config;
  config.lora_alpha = std::numeric_limits<double>::quiet_NaN();
  CHECK_THROWS_WITH_AS(check_lora_config(config, "recipe"), doctest::Contains("recipe: lora_alpha"), UsageError);
  config.lora_alpha = 8;
  config.lora_dropout = std::numeric_limits<double>::quiet_NaN();
  CHECK_THROWS_WITH_AS(check_lora_config(config, "recipe"), doctest::Contains("recipe: lora_dropout"), UsageError);
}
