#include "adapters/adapter_config.h"

#include <doctest/doctest.h>

#include <limits>

#include "lorikeet/error.h"

using namespace lorikeet;

namespace {

AdapterConfig parse(const std::string& fields) {
  return parse_adapter_config(
      parse_json(R"({"peft_type": "LORA")" + (fields.empty() ? "" : ", " + fields) + "}", "file"), "file");
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
  const AdapterConfig config = parse_adapter_config(parse_json(kPefts, "file"), "file");
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
  const Json after = adapter_config_json(parse_adapter_config(before, "file"));
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
  CHECK(adapter_config_json(parse_adapter_config(after, "file")).dump() == after.dump());
  const Json future = adapter_config_json(parse(R"("some_future_key": {"deep": [1, 2.5, null]})"));
  CHECK(future["some_future_key"].dump() == R"({"deep":[1,2.5,null]})");
}

TEST_CASE("defaults are PEFT's, and no targets are its placeholder") {
  const AdapterConfig config = parse("");
  CHECK(config.r == 8);
  CHECK(config.lora_alpha == 8);
  CHECK_FALSE(config.has_targets());
  const Json json = adapter_config_json(config);
  CHECK(json["target_modules"] == "dummy-target-modules");
  CHECK(json["layers_to_transform"].is_null());
  CHECK_FALSE(parse_adapter_config(json, "file").has_targets());
  CHECK(parse(R"("target_modules": "a|b")").target_modules == ModulePattern(std::string("a|b")));
  CHECK(adapter_config_json(parse(R"("init_lora_weights": false)"))["init_lora_weights"] == false);
  CHECK(adapter_config_json(parse(R"("init_lora_weights": "eva")"))["init_lora_weights"] == "eva");
}

TEST_CASE("methods and options that would change the numbers are refused, by name") {
  const Json other = parse_json(R"({"peft_type": "VBLORA"})", "file");
  CHECK_THROWS_WITH_AS(parse_adapter_config(other, "file"),
                       doctest::Contains("peft_type: got \"VBLORA\", expected one of LORA, LOHA"), Error);
  CHECK_THROWS_WITH_AS(parse_adapter_config(parse_json("{}", "file"), "file"), doctest::Contains("peft_type: got null"),
                       Error);
  CHECK_THROWS_WITH_AS(parse_adapter_config(parse_json("[]", "file"), "file"), doctest::Contains("got a list"), Error);
  for (const char* field :
       {R"("fan_in_fan_out": true)", R"("target_parameters": ["x"])", R"("trainable_token_indices": [1])",
        R"("layer_replication": [[0, 1]])", R"("use_bdlora": {})", R"("alora_invocation_tokens": [1])",
        R"("arrow_config": {})", R"("use_qalora": true)", R"("kasa_config": {})", R"("monteclora_config": {})"}) {
    const std::string name = std::string(field).substr(1, std::string(field).find('"', 1) - 1);
    refused(field, "file: " + name + ": got ");
    refused(field, "not supported yet");
  }
  // These starts took something away from the base weights, so that the base alone is not what the adapter was trained
  // on.
  for (const char* start : {"pissa_niter_4", "corda", "loftq", "lora_ga"}) {
    refused(R"("init_lora_weights": ")" + std::string(start) + "\"",
            std::string("file: init_lora_weights: got \"") + start);
  }
}

TEST_CASE("every method's configuration comes back, in PEFT's names") {
  for (std::size_t i = 0; i < peft_type_names().size(); ++i) {
    CAPTURE(peft_type_names()[i]);
    AdapterConfig config;
    config.peft_type = static_cast<PeftType>(i);
    config.target_modules = std::vector<std::string>{"conv1", "conv2"};
    config.exclude_modules = std::vector<std::string>{"layer1"};
    config.modules_to_save = {"fc"};
    const bool has_alpha = i < 3 || config.peft_type == PeftType::kLoraXs;
    const bool has_rank_pattern = has_alpha || config.peft_type == PeftType::kHira;
    const bool has_exclusions = config.peft_type != PeftType::kVera && config.peft_type != PeftType::kUniLora &&
                                config.peft_type != PeftType::kTinyLora;
    const bool has_rank = has_rank_pattern || !has_exclusions;
    const bool is_lora_alpha = config.peft_type == PeftType::kLora || config.peft_type == PeftType::kLoraXs;
    const bool has_layers = config.peft_type != PeftType::kIa3 && config.peft_type != PeftType::kLnTuning;
    if (has_alpha) config.lora_alpha = 5;
    if (has_rank) config.r = 3;
    if (has_rank_pattern) config.rank_pattern = {{"a", 2}};
    if (has_layers) {
      config.layers_to_transform = {1, 2};
      config.layers_pattern = {"layer"};
    }
    if (config.peft_type == PeftType::kLora) {
      config.use_dora = true;
      config.bias = TrainedBias::kLoraOnly;
      config.init_lora_weights = LoraStart::kOrthogonal;
    }
    if (config.peft_type == PeftType::kLokr)
      config.decompose_both = true, config.decompose_factor = 4, config.use_effective_conv2d = true;
    if (config.peft_type == PeftType::kIa3) config.feedforward_modules = std::vector<std::string>{"conv1"};
    if (config.peft_type == PeftType::kHira) config.hira_dropout = 0.25;
    if (config.peft_type == PeftType::kOft) {
      config.oft = {0, true, true, 0.5, false, 7};
      config.bias = TrainedBias::kOftOnly;
    }
    if (config.peft_type == PeftType::kBoft) {
      config.boft = {0, 8, 3, 0.25};
      config.bias = TrainedBias::kBoftOnly;
    }
    if (config.peft_type == PeftType::kFourierFt) {
      config.fourierft = {20, {{"conv1", 5}}, 0.5, -3, false};
      config.bias = TrainedBias::kFourierOnly;
    }
    if (config.peft_type == PeftType::kVera) {
      config.vera = {-7, true, 0.25, 0.5};
      config.bias = TrainedBias::kVeraOnly;
    }
    if (config.peft_type == PeftType::kUniLora) {
      config.unilora = {99, 8, true, 0.5, 0.25};
      config.bias = TrainedBias::kUniLoraOnly;
    }
    if (config.peft_type == PeftType::kLoraXs) config.lora_dropout = 0.25;
    if (config.peft_type == PeftType::kTinyLora) {
      config.tinylora = {5, 0.25, 7, false, 0.5, true, 0.125};
      config.bias = TrainedBias::kTinyLoraOnly;
    }
    const Json json = adapter_config_json(config);
    CHECK(json["peft_type"] == peft_type_names()[i]);
    CHECK(json.contains("r") == (has_rank || config.peft_type == PeftType::kOft));
    CHECK(json.contains("rank_pattern") == has_rank_pattern);
    CHECK(json.contains("exclude_modules") == has_exclusions);
    CHECK(json.contains("layers_pattern") == has_layers);
    CHECK(json.contains("lora_alpha") == is_lora_alpha);
    CHECK(json.contains("alpha") == (has_alpha && !is_lora_alpha));
    const AdapterConfig read = parse_adapter_config(json, "file");
    CHECK(adapter_config_json(read).dump() == json.dump());
    CHECK(read.r == config.r);
    CHECK(read.lora_alpha == config.lora_alpha);
    CHECK(read.use_dora == config.use_dora);
    CHECK((read.bias == config.bias));
    CHECK((read.init_lora_weights == config.init_lora_weights));
    CHECK(read.decompose_both == config.decompose_both);
    CHECK(read.decompose_factor == config.decompose_factor);
    CHECK(read.use_effective_conv2d == config.use_effective_conv2d);
    CHECK((read.feedforward_modules == config.feedforward_modules));
    CHECK(read.hira_dropout == config.hira_dropout);
    CHECK((read.oft == config.oft));
    CHECK((read.boft == config.boft));
    CHECK((read.fourierft == config.fourierft));
    CHECK((read.vera == config.vera));
    CHECK((read.unilora == config.unilora));
    CHECK(read.lora_dropout == config.lora_dropout);
    CHECK((read.tinylora == config.tinylora));
  }
}

TEST_CASE("TinyLoRA's configuration: PEFT's defaults, and what is refused") {
  const auto parse_tiny = [](const std::string& fields) {
    return parse_adapter_config(parse_json(R"({"peft_type": "TINYLORA")" + fields + "}", "file"), "file");
  };
  CHECK(parse_tiny("").r == 2);
  CHECK((parse_tiny("").tinylora == TinyLoraOptions{}));
  CHECK_FALSE(parse_tiny(R"(, "init_weights": false)").tinylora.starts_uniform);
  for (const auto& [fields, because] :
       {std::pair(R"(, "u": 0)", "u: got 0, expected an integer from 1 to 65536"),
        {R"(, "u": 65537)", "u: got 65537"},
        {R"(, "u": 1.5)", "u: got the number 1.5, expected an integer"},
        {R"(, "weight_tying": 1.5)", "weight_tying: got 1.5, expected a number from 0 to 1"},
        {R"(, "weight_tying": -0.1)", "weight_tying: got -0.1"},
        {R"(, "projection_seed": -1)", "projection_seed: got -1"},
        {R"(, "init_weights": "normal")", R"(init_weights: got "normal", expected true, false or uniform)"},
        {R"(, "init_v_bound": -1)", "init_v_bound: got -1"},
        {R"(, "tinylora_dropout": 1)", "tinylora_dropout: got 1"},
        {R"(, "bias": "lora_only")", "bias: got lora_only with peft_type TINYLORA"},
        {R"(, "r": 0)", "r: got 0"}}) {
    CAPTURE(fields);
    CHECK_THROWS_WITH_AS(parse_tiny(fields), doctest::Contains(because), Error);
  }
}

TEST_CASE("OFT's number of blocks follows from their size, whether r is 0 or PEFT's default for other methods") {
  AdapterConfig config;
  config.peft_type = PeftType::kOft;
  CHECK_NOTHROW(check_adapter_config(config, "recipe"));
  config.r = 0;
  CHECK_NOTHROW(check_adapter_config(config, "recipe"));
  CHECK(adapter_config_json(config)["r"] == 0);
  CHECK(adapter_config_json(config)["oft_block_size"] == 32);
}

TEST_CASE("OFT's configuration has a size or a number of blocks, the other 0") {
  const auto parse_oft = [](const std::string& fields) {
    return parse_adapter_config(parse_json(R"({"peft_type": "OFT")" + fields + "}", "file"), "file");
  };
  CHECK(parse_oft(R"(, "r": 0, "oft_block_size": 16)").oft.block_size == 16);
  const AdapterConfig by_number = parse_oft(R"(, "r": 4, "oft_block_size": 0)");
  CHECK(by_number.r == 4);
  CHECK(by_number.oft.block_size == 0);
  CHECK(adapter_config_json(by_number)["r"] == 4);
  CHECK(adapter_config_json(parse_oft(R"(, "oft_block_size": 16)"))["r"] == 0);
  for (const auto& [fields, because] :
       {std::pair{R"(, "r": 4)", "file: got no oft_block_size, expected one. Before"},
        {R"(, "r": 4, "oft_block_size": 16)", "file: r, oft_block_size: got 4 and 16"},
        {R"(, "r": 0, "oft_block_size": 0)", "file: r, oft_block_size: got 0 and 0"},
        {R"(, "oft_block_size": "16")", "file: oft_block_size: got a string"},
        {R"(, "oft_block_size": 16, "num_cayley_neumann_terms": 100000)", "file: num_cayley_neumann_terms: got 100000"},
        {R"(, "oft_block_size": 16, "eps": -1)", "file: eps: got -1"}}) {
    CAPTURE(fields);
    CHECK_THROWS_WITH_AS(parse_oft(fields), doctest::Contains(because), Error);
  }
}

TEST_CASE("options that do not go together are refused") {
  const auto refused_config = [](void (*set)(AdapterConfig&), const char* because) {
    AdapterConfig config;
    set(config);
    CHECK_THROWS_WITH_AS(check_adapter_config(config, "recipe"), doctest::Contains(because), UsageError);
  };
  refused_config([](AdapterConfig& c) { c.peft_type = PeftType::kLoha, c.use_dora = true; },
                 "with peft_type LOHA, expected it with LORA only");
  refused_config([](AdapterConfig& c) { c.peft_type = PeftType::kIa3, c.bias = TrainedBias::kAll; },
                 "with peft_type IA3");
  refused_config([](AdapterConfig& c) { c.peft_type = PeftType::kOft, c.r = 0, c.oft.block_size = 0; },
                 "r: got 0, expected an integer from 1 to 65536");
  refused_config([](AdapterConfig& c) { c.peft_type = PeftType::kOft, c.bias = TrainedBias::kLoraOnly; },
                 "bias: got lora_only with peft_type OFT, expected none, all or oft_only");
  refused_config([](AdapterConfig& c) { c.peft_type = PeftType::kBoft, c.boft.block_num = 4; },
                 "boft_block_size, boft_block_num: got 4 and 4, expected one of the two to be 0");
  refused_config([](AdapterConfig& c) { c.peft_type = PeftType::kHira, c.hira_dropout = 1; }, "hira_dropout: got 1");
  const auto refused_unilora = [&](const UniLoraOptions& options, const char* because) {
    AdapterConfig config;
    config.peft_type = PeftType::kUniLora;
    config.unilora = options;
    CHECK_THROWS_WITH_AS(check_adapter_config(config, "recipe"), doctest::Contains(because), UsageError);
  };
  refused_unilora({.theta_d_length = 0}, "theta_d_length: got 0, expected an integer from 1 to 16777216");
  refused_unilora({.theta_d_length = 1'000'000'000}, "theta_d_length: got 1000000000");
  refused_unilora({.proj_seed = -1}, "proj_seed: got -1, expected an integer of at least 0");
  refused_unilora({.init_theta_d_bound = 0}, "init_theta_d_bound: got 0");
  refused_unilora({.dropout = 1}, "unilora_dropout: got 1");
  refused_config([](AdapterConfig& c) { c.peft_type = PeftType::kVera, c.vera.dropout = -1; }, "vera_dropout: got -1");
  refused_config([](AdapterConfig& c) { c.peft_type = PeftType::kVera, c.r = 0; }, "r: got 0");
  refused_config([](AdapterConfig& c) { c.peft_type = PeftType::kVera, c.bias = TrainedBias::kUniLoraOnly; },
                 "bias: got unilora_only with peft_type VERA, expected none, all or vera_only");
  const auto refused_fourierft = [&](const FourierFtOptions& options, const char* because) {
    AdapterConfig config;
    config.peft_type = PeftType::kFourierFt;
    config.fourierft = options;
    CHECK_THROWS_WITH_AS(check_adapter_config(config, "recipe"), doctest::Contains(because), UsageError);
  };
  refused_fourierft({.n_frequency = 0}, "n_frequency: got 0, expected an integer from 1 to 16777216");
  refused_fourierft({.n_frequency = 1'000'000'000}, "n_frequency: got 1000000000");
  refused_fourierft({.n_frequency_pattern = {{"fc", 1.5}}}, "n_frequency_pattern: got 1.5");
  refused_fourierft({.scaling = 0}, "scaling: got 0");
  refused_fourierft({.scaling = std::numeric_limits<double>::infinity()}, "scaling: got inf");
  refused_config([](AdapterConfig& c) { c.lora_bias = c.use_dora = true; }, "lora_bias: got it with use_dora");
  refused_config([](AdapterConfig& c) { c.lora_bias = true, c.init_lora_weights = LoraStart::kPissa; },
                 "lora_bias: got it with");
  refused_config(
      [](AdapterConfig& c) {
        c.peft_type = PeftType::kIa3, c.target_modules = std::vector<std::string>{"a"},
        c.feedforward_modules = std::vector<std::string>{"b"};
      },
      "feedforward_modules: got 'b', expected only entries of target_modules");
  refused_config([](AdapterConfig& c) { c.peft_type = PeftType::kLokr, c.decompose_factor = 0; },
                 "decompose_factor: got 0");
}

TEST_CASE("values that cannot be are refused, by field") {
  refused(R"("r": 0)", "file: r: got 0");
  refused(R"("r": 70000)", "file: r: got 70000");
  refused(R"("r": -1)", "file: r: got -1");
  refused(R"("r": 4.5)", "file: r: got the number 4.5, expected an integer");
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
  refused(R"("bias": "some")", "file: bias: got \"some\", expected one of none, all, lora_only");
  refused(R"("use_dora": 1)", "file: use_dora: got the number 1");
  refused(R"("base_model_name_or_path": 5)", "file: base_model_name_or_path");
  CHECK_FALSE(is_usage_error(R"("r": 0)"));  // the file is wrong, not the call

  AdapterConfig config;
  config.lora_alpha = std::numeric_limits<double>::quiet_NaN();
  CHECK_THROWS_WITH_AS(check_adapter_config(config, "recipe"), doctest::Contains("recipe: lora_alpha"), UsageError);
  config.lora_alpha = 8;
  config.lora_dropout = std::numeric_limits<double>::quiet_NaN();
  CHECK_THROWS_WITH_AS(check_adapter_config(config, "recipe"), doctest::Contains("recipe: lora_dropout"), UsageError);
}

TEST_CASE("VeRA and UniLoRA have PEFT's defaults where a file says nothing") {
  const AdapterConfig vera = parse_adapter_config(parse_json(R"({"peft_type": "VERA"})", "file"), "file");
  CHECK(vera.r == 256);
  CHECK(vera.vera.save_projection);
  const AdapterConfig unilora =
      parse_adapter_config(parse_json(R"({"peft_type": "UNILORA", "exclude_modules": ["fc"]})", "file"), "file");
  CHECK(unilora.r == 4);
  CHECK(unilora.unilora.theta_d_length == 256);
  CHECK(std::holds_alternative<std::monostate>(unilora.exclude_modules));  // which PEFT ignores
}
