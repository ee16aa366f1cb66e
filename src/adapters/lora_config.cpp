#include "adapters/lora_config.h"

#include <cmath>
#include <functional>
#include <map>

#include "base/error.h"
#include "base/text.h"

namespace lorikeet {
namespace {

constexpr std::int64_t kMaxRank = 1 << 16;
constexpr std::size_t kMaxNames = 10'000;

// PEFT's placeholder for an adapter that consists of modules_to_save alone (peft/utils/constants.py).
constexpr const char* kDummyTargets = "dummy-target-modules";

std::vector<std::string> string_list(const Json& value, const std::string& where) {
  if (value.is_null()) return {};
  if (value.is_string()) return {value.get<std::string>()};
  if (!value.is_array() || value.size() > kMaxNames) fail(where, ": got ", json_kind(value), ", expected a list of names.");
  std::vector<std::string> out;
  for (const auto& item : value) {
    if (!item.is_string()) fail(where, ": got ", json_kind(item), " in the list, expected a name.");
    out.push_back(item.get<std::string>());
  }
  return out;
}

ModulePattern module_pattern(const Json& value, const std::string& where) {
  if (value.is_null()) return {};
  if (value.is_string()) {
    if (value == kDummyTargets) return {};
    return value.get<std::string>();
  }
  return string_list(value, where);
}

double number(const Json& value, const std::string& where) {
  if (!value.is_number()) fail(where, ": got ", json_kind(value), ", expected a number.");
  return value.get<double>();
}

std::int64_t whole_number(const Json& value, const std::string& where) {
  if (!value.is_number_integer() || value.is_number_float() || (value.is_number_unsigned() && value.get<std::uint64_t>() > INT64_MAX)) {
    fail(where, ": got ", json_kind(value), ", expected a whole number.");
  }
  return value.get<std::int64_t>();
}

bool truth(const Json& value, const std::string& where) {
  if (value.is_null()) return false;
  if (!value.is_boolean()) fail(where, ": got ", json_kind(value), ", expected true or false.");
  return value.get<bool>();
}

PatternTable pattern_table(const Json& value, const std::string& where) {
  if (value.is_null()) return {};
  if (!value.is_object() || value.size() > kMaxNames) fail(where, ": got ", json_kind(value), ", expected an object of numbers by pattern.");
  PatternTable out;
  for (const auto& [pattern, item] : value.items()) out.emplace_back(pattern, number(item, where));
  return out;
}

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

// Options that change what an adapter computes and that this version does not have: refused unless at these values.
const std::map<std::string, std::vector<Json>>& neutral_values() {
  static const std::map<std::string, std::vector<Json>> kNeutral{
      {"bias", {"none"}},         {"use_dora", {false}},          {"lora_bias", {false}},
      {"fan_in_fan_out", {false}}, {"target_parameters", {nullptr}}, {"trainable_token_indices", {nullptr}},
      {"layer_replication", {nullptr}}, {"use_bdlora", {nullptr, false}}, {"alora_invocation_tokens", {nullptr}},
      {"arrow_config", {nullptr}}, {"use_qalora", {false}}, {"kasa_config", {nullptr}},
      {"monteclora_config", {nullptr}}};
  return kNeutral;
}

}  // namespace

LoraConfig parse_lora_config(const Json& json, const std::string& where) {
  if (!json.is_object()) fail(where, ": got ", json_kind(json), ", expected PEFT's object of settings.");
  LoraConfig config;
  const auto at = [&](const char* key) { return cat(where, ": ", key); };
  const Json peft_type = json.value("peft_type", Json(nullptr));
  if (peft_type != "LORA") fail(at("peft_type"), ": got ", printable(peft_type.dump(), 60), ", expected \"LORA\". Other methods are not supported yet.");

  const std::map<std::string, std::function<void(const Json&, const std::string&)>> fields{
      {"r", [&](const Json& v, const std::string& w) { config.r = whole_number(v, w); }},
      {"lora_alpha", [&](const Json& v, const std::string& w) { config.lora_alpha = number(v, w); }},
      {"lora_dropout", [&](const Json& v, const std::string& w) { config.lora_dropout = number(v, w); }},
      {"target_modules", [&](const Json& v, const std::string& w) { config.target_modules = module_pattern(v, w); }},
      {"exclude_modules", [&](const Json& v, const std::string& w) { config.exclude_modules = module_pattern(v, w); }},
      {"modules_to_save", [&](const Json& v, const std::string& w) { config.modules_to_save = string_list(v, w); }},
      {"rank_pattern", [&](const Json& v, const std::string& w) { config.rank_pattern = pattern_table(v, w); }},
      {"alpha_pattern", [&](const Json& v, const std::string& w) { config.alpha_pattern = pattern_table(v, w); }},
      {"layers_to_transform",
       [&](const Json& v, const std::string& w) {
         if (v.is_null()) return;
         if (v.is_array()) {
           for (const auto& item : v) config.layers_to_transform.push_back(whole_number(item, w));
         } else {
           config.layers_to_transform = {whole_number(v, w)};
         }
       }},
      {"layers_pattern", [&](const Json& v, const std::string& w) { config.layers_pattern = string_list(v, w); }},
      {"use_rslora", [&](const Json& v, const std::string& w) { config.use_rslora = truth(v, w); }},
      {"init_lora_weights",
       [&](const Json& v, const std::string& w) {
         // A finished adapter holds its tensors; how they began no longer matters, except to whoever rewrites the file.
         // But PiSSA, OLoRA, CorDA, LoftQ and LoRA-GA also took something away from the base weights.
         if (v.is_string() && v != "gaussian" && v != "eva" && v != "orthogonal" && v != "mica") {
           fail(w, ": got ", printable(v.dump(), 60), ", expected true or \"gaussian\". This start changes the base weights and is not supported yet.");
         }
         config.init_lora_weights = v == "gaussian" ? LoraStart::kGaussian : LoraStart::kDefault;
         if (v != "gaussian" && v != true) config.other["init_lora_weights"] = v;
       }},
      {"base_model_name_or_path",
       [&](const Json& v, const std::string& w) {
         if (!v.is_null() && !v.is_string()) fail(w, ": got ", json_kind(v), ", expected a name.");
         if (v.is_string()) config.base_model_name_or_path = v.get<std::string>();
       }},
      {"peft_type", [](const Json&, const std::string&) {}},
      {"inference_mode", [](const Json&, const std::string&) {}},
      {"peft_version", [](const Json&, const std::string&) {}},
  };
  for (const auto& [key, value] : json.items()) {
    if (const auto field = fields.find(key); field != fields.end()) {
      field->second(value, cat(where, ": ", key));
      continue;
    }
    if (const auto neutral = neutral_values().find(key); neutral != neutral_values().end()) {
      bool is_neutral = false;
      for (const auto& allowed : neutral->second) is_neutral = is_neutral || value == allowed;
      if (!is_neutral) {
        fail(where, ": ", key, ": got ", printable(value.dump(), 60), ", expected ", neutral->second.front().dump(),
             ". This option changes what the adapter computes and is not supported yet.");
      }
    }
    config.other[key] = value;
  }
  try {
    check_lora_config(config, where);
  } catch (const UsageError& error) {
    throw Error(error.what());  // in a file it is the file that is wrong, not the call
  }
  return config;
}

Json lora_config_json(const LoraConfig& config) {
  Json out{{"alpha_pattern", to_json(config.alpha_pattern)},
           {"auto_mapping", nullptr},
           {"base_model_name_or_path", config.base_model_name_or_path.empty() ? Json(nullptr) : Json(config.base_model_name_or_path)},
           {"bias", "none"},
           {"exclude_modules", to_json(config.exclude_modules)},
           {"fan_in_fan_out", false},
           {"inference_mode", true},
           {"init_lora_weights", config.init_lora_weights == LoraStart::kGaussian ? Json("gaussian") : Json(true)},
           {"layers_pattern", list_or_null(config.layers_pattern)},
           {"layers_to_transform", list_or_null(config.layers_to_transform)},
           {"lora_alpha", tidy_number(config.lora_alpha)},
           {"lora_bias", false},
           {"lora_dropout", config.lora_dropout},
           {"modules_to_save", list_or_null(config.modules_to_save)},
           {"peft_type", "LORA"},
           {"peft_version", "0.21.0"},
           {"r", config.r},
           {"rank_pattern", to_json(config.rank_pattern)},
           {"target_modules", config.has_targets() ? to_json(config.target_modules) : Json(kDummyTargets)},
           {"task_type", nullptr},
           {"use_dora", false},
           {"use_rslora", config.use_rslora}};
  for (const auto& [key, value] : config.other.items()) out[key] = value;
  std::map<std::string, Json> sorted;
  for (const auto& [key, value] : out.items()) sorted[key] = value;
  Json ordered = Json::object();
  for (auto& [key, value] : sorted) ordered[key] = std::move(value);
  return ordered;
}

void check_lora_config(const LoraConfig& config, const std::string& where) {
  const auto check_rank = [&](double rank, const char* field) {
    if (!(rank >= 1 && rank <= kMaxRank) || rank != std::floor(rank)) {
      fail_usage(where, ": ", field, ": got ", rank, ", expected a whole number from 1 to ", kMaxRank, ".");
    }
  };
  const auto check_alpha = [&](double alpha, const char* field) {
    if (!std::isfinite(alpha) || alpha == 0) fail_usage(where, ": ", field, ": got ", alpha, ", expected a finite number other than 0.");
  };
  check_rank(static_cast<double>(config.r), "r");
  check_alpha(config.lora_alpha, "lora_alpha");
  for (const auto& [pattern, rank] : config.rank_pattern) check_rank(rank, "rank_pattern");
  for (const auto& [pattern, alpha] : config.alpha_pattern) check_alpha(alpha, "alpha_pattern");
  if (!(config.lora_dropout >= 0 && config.lora_dropout < 1)) {
    fail_usage(where, ": lora_dropout: got ", config.lora_dropout, ", expected a probability from 0 to below 1.");
  }
}

}  // namespace lorikeet
