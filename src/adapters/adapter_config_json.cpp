// Writes PEFT's adapter_config.json; adapter_config_parse.cpp reads it.
#include "adapters/adapter_config.h"

#include <cmath>
#include <map>

namespace lorikeet {
namespace {

Json to_json(const ModulePattern& pattern) {
  if (const auto* text = std::get_if<std::string>(&pattern)) return *text;
  if (const auto* list = std::get_if<std::vector<std::string>>(&pattern)) return *list;
  return nullptr;
}

template <typename T>
Json list_or_null(const std::vector<T>& list) {
  return list.empty() ? Json(nullptr) : Json(list);
}

// A whole number is written as one: PEFT compares and prints `8`, not `8.0`.
Json tidy_number(double value) {
  if (value == std::floor(value) && std::abs(value) < 1e15) return static_cast<std::int64_t>(value);
  return value;
}

Json to_json(const PatternTable& table) {
  Json out = Json::object();
  for (const auto& [pattern, value] : table) out[pattern] = tidy_number(value);
  return out;
}

// What only this method's configuration has.
std::map<std::string, Json> own_fields(const AdapterConfig& config) {
  switch (config.peft_type) {
    case PeftType::kLora: {
      const bool is_default = config.init_lora_weights == LoraStart::kDefault;
      return {{"fan_in_fan_out", false},
              {"lora_dropout", config.lora_dropout},
              {"use_rslora", config.use_rslora},
              {"use_dora", config.use_dora},
              {"lora_bias", config.lora_bias},
              {"init_lora_weights",
               is_default ? Json(true) : Json(lora_start_names()[static_cast<std::size_t>(config.init_lora_weights)])}};
    }
    case PeftType::kLoha:
      return {{"init_weights", true},
              {"module_dropout", 0.0},
              {"rank_dropout", 0.0},
              {"use_effective_conv2d", config.use_effective_conv2d}};
    case PeftType::kLokr:
      return {{"init_weights", true},
              {"module_dropout", 0.0},
              {"rank_dropout", 0.0},
              {"rank_dropout_scale", false},
              {"use_effective_conv2d", config.use_effective_conv2d},
              {"decompose_both", config.decompose_both},
              {"decompose_factor", config.decompose_factor}};
    case PeftType::kIa3:
      return {{"fan_in_fan_out", false},
              // PEFT takes null for "look the architecture up", and knows no vision models.
              {"feedforward_modules", std::holds_alternative<std::monostate>(config.feedforward_modules)
                                          ? Json::array()
                                          : to_json(config.feedforward_modules)},
              {"init_ia3_weights", true}};
    case PeftType::kLnTuning: return {};
    case PeftType::kHira:
      return {{"fan_in_fan_out", false}, {"hira_dropout", config.hira_dropout}, {"init_weights", true}};
    case PeftType::kOft: {
      const OftOptions& oft = config.oft;
      return {{"fan_in_fan_out", false},
              {"init_weights", true},
              {"module_dropout", 0.0},
              {"r", oft.block_size == 0 ? config.r : 0},
              {"oft_block_size", oft.block_size},
              {"block_share", oft.block_share},
              {"coft", oft.coft},
              {"eps", oft.eps},
              {"use_cayley_neumann", oft.use_cayley_neumann},
              {"num_cayley_neumann_terms", oft.num_cayley_neumann_terms}};
    }
    case PeftType::kBoft: {
      const BoftOptions& boft = config.boft;
      return {{"fan_in_fan_out", false},
              {"init_weights", true},
              {"boft_block_size", boft.block_size},
              {"boft_block_num", boft.block_num},
              {"boft_n_butterfly_factor", boft.n_butterfly_factor},
              {"boft_dropout", boft.dropout}};
    }
    case PeftType::kFourierFt: {
      const FourierFtOptions& fourierft = config.fourierft;
      return {{"fan_in_fan_out", false},
              {"n_frequency", fourierft.n_frequency},
              {"n_frequency_pattern", to_json(fourierft.n_frequency_pattern)},
              {"scaling", tidy_number(fourierft.scaling)},
              {"random_loc_seed", fourierft.random_loc_seed},
              {"init_weights", fourierft.init_weights}};
    }
    case PeftType::kVera: {
      const VeraOptions& vera = config.vera;
      return {{"fan_in_fan_out", false},
              {"init_weights", true},
              {"projection_prng_key", vera.projection_prng_key},
              {"save_projection", vera.save_projection},
              {"vera_dropout", vera.dropout},
              {"d_initial", vera.d_initial}};
    }
    case PeftType::kUniLora: {
      const UniLoraOptions& unilora = config.unilora;
      return {{"fan_in_fan_out", false},
              {"init_weights", true},
              {"theta_d_length", unilora.theta_d_length},
              {"proj_seed", unilora.proj_seed},
              {"save_indices", unilora.save_indices},
              {"init_theta_d_bound", unilora.init_theta_d_bound},
              {"unilora_dropout", unilora.dropout}};
    }
    case PeftType::kLoraXs: return {{"lora_dropout", config.lora_dropout}};
    case PeftType::kTinyLora: {
      const TinyLoraOptions& tiny = config.tinylora;
      return {{"fan_in_fan_out", false},
              {"init_weights", tiny.starts_uniform ? Json("uniform") : Json(true)},
              {"init_v_bound", tiny.init_v_bound},
              {"u", tiny.u},
              {"weight_tying", tiny.weight_tying},
              {"projection_seed", tiny.projection_seed},
              {"save_projection", tiny.save_projection},
              {"tinylora_dropout", tiny.dropout}};
    }
  }
  return {};
}

}  // namespace

Json adapter_config_json(const AdapterConfig& config) {
  std::map<std::string, Json> out{
      {"auto_mapping", nullptr},
      {"base_model_name_or_path",
       config.base_model_name_or_path.empty() ? Json(nullptr) : Json(config.base_model_name_or_path)},
      {"exclude_modules", to_json(config.exclude_modules)},
      {"inference_mode", true},
      {"modules_to_save", list_or_null(config.modules_to_save)},
      {"peft_type", name_of(config.peft_type)},
      {"peft_version", "0.21.0"},
      {"target_modules", config.has_targets() ? to_json(config.target_modules) : Json(kDummyTargets)},
      {"task_type", nullptr}};
  if (!has_exclusions(config.peft_type)) out.erase("exclude_modules");
  if (has_rank(config.peft_type)) {
    out["r"] = config.r;
  }
  if (has_rank_pattern(config.peft_type)) {
    out["rank_pattern"] = to_json(config.rank_pattern);
  }
  if (has_alpha(config.peft_type)) {
    out[alpha_key(config.peft_type)] = tidy_number(config.lora_alpha);
    out["alpha_pattern"] = to_json(config.alpha_pattern);
  }
  if (has_layer_filter(config.peft_type)) {
    out["layers_pattern"] = list_or_null(config.layers_pattern);
    out["layers_to_transform"] = list_or_null(config.layers_to_transform);
  }
  if (has_bias(config.peft_type)) out["bias"] = trained_bias_names()[static_cast<std::size_t>(config.bias)];
  for (const auto& [key, value] : own_fields(config)) out[key] = value;
  for (const auto& [key, value] : config.other.items()) out[key] = value;
  Json ordered = Json::object();
  for (auto& [key, value] : out) ordered[key] = std::move(value);
  return ordered;
}

}  // namespace lorikeet
