#include "adapters/adapter_config.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>

#include "base/error.h"
#include "base/text.h"

namespace lorikeet {
namespace {

constexpr std::int64_t kMaxRank = 1 << 16;
constexpr std::int64_t kMaxFactor = 1 << 16;
constexpr std::size_t kMaxNames = 10'000;

// PEFT's placeholder for an adapter that consists of modules_to_save alone (peft/utils/constants.py).
constexpr const char* kDummyTargets = "dummy-target-modules";

std::vector<std::string> string_list(const Json& value, const std::string& where) {
  if (value.is_null()) return {};
  if (value.is_string()) return {value.get<std::string>()};
  if (!value.is_array() || value.size() > kMaxNames)
    fail(where, ": got ", json_kind(value), ", expected a list of names.");
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
  if (!value.is_number_integer() || value.is_number_float() ||
      (value.is_number_unsigned() && value.get<std::uint64_t>() > INT64_MAX)) {
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
  if (!value.is_object() || value.size() > kMaxNames)
    fail(where, ": got ", json_kind(value), ", expected an object of numbers by pattern.");
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
      {"fan_in_fan_out", {false}},      {"target_parameters", {nullptr}}, {"trainable_token_indices", {nullptr}},
      {"layer_replication", {nullptr}}, {"use_bdlora", {nullptr, false}}, {"alora_invocation_tokens", {nullptr}},
      {"arrow_config", {nullptr}},      {"use_qalora", {false}},          {"kasa_config", {nullptr}},
      {"monteclora_config", {nullptr}}};
  return kNeutral;
}

// The position of a text in a list of names; throws Error if it is none of them.
std::size_t choice(const Json& value, const std::vector<std::string>& names, const std::string& where) {
  const auto found = value.is_string() ? std::find(names.begin(), names.end(), value.get<std::string>()) : names.end();
  if (found == names.end())
    fail(where, ": got ", printable(value.dump(), 60), ", expected one of ", join(names, ", "), ".");
  return static_cast<std::size_t>(found - names.begin());
}

const char* alpha_key(PeftType type) { return type == PeftType::kLora ? "lora_alpha" : "alpha"; }

LoraStart read_start(const Json& value, const std::string& where, Json& other) {
  const auto& names = lora_start_names();
  if (const auto found =
          value.is_string() ? std::find(names.begin() + 1, names.end(), value.get<std::string>()) : names.end();
      found != names.end()) {
    return static_cast<LoraStart>(found - names.begin());
  }
  // A finished adapter holds its tensors; their start no longer matters, except to a program that rewrites the file.
  // But CorDA, LoftQ, LoRA-GA and PiSSA by iteration also took something away from the base weights that cannot be
  // found again.
  if (value.is_string() && value != "eva" && value != "mica") {
    fail(where, ": got ", printable(value.dump(), 60), ", expected true or one of ", join(names, ", "),
         ". This start changes the base weights; convert the adapter with PEFT's "
         "save_pretrained(path_initial_model_for_weight_conversion=…).");
  }
  if (value != true) other["init_lora_weights"] = value;
  return LoraStart::kDefault;
}

using FieldReader = std::function<void(const Json&, const std::string&)>;

// The fields that a method's configuration has here, each with what reads it.
std::map<std::string, FieldReader> readers(AdapterConfig& config) {
  const auto ignored = [](const Json&, const std::string&) {};
  std::map<std::string, FieldReader> out{
      {"target_modules", [&](const Json& v, const std::string& w) { config.target_modules = module_pattern(v, w); }},
      {"exclude_modules", [&](const Json& v, const std::string& w) { config.exclude_modules = module_pattern(v, w); }},
      {"modules_to_save", [&](const Json& v, const std::string& w) { config.modules_to_save = string_list(v, w); }},
      {"base_model_name_or_path",
       [&](const Json& v, const std::string& w) {
         if (!v.is_null() && !v.is_string()) fail(w, ": got ", json_kind(v), ", expected a name.");
         if (v.is_string()) config.base_model_name_or_path = v.get<std::string>();
       }},
      {"peft_type", ignored},
      {"inference_mode", ignored},
      {"peft_version", ignored}};
  if (has_rank(config.peft_type)) {
    out["r"] = [&](const Json& v, const std::string& w) { config.r = whole_number(v, w); };
    out[alpha_key(config.peft_type)] = [&](const Json& v, const std::string& w) { config.lora_alpha = number(v, w); };
    out["rank_pattern"] = [&](const Json& v, const std::string& w) { config.rank_pattern = pattern_table(v, w); };
    out["alpha_pattern"] = [&](const Json& v, const std::string& w) { config.alpha_pattern = pattern_table(v, w); };
    out["layers_pattern"] = [&](const Json& v, const std::string& w) { config.layers_pattern = string_list(v, w); };
    out["layers_to_transform"] = [&](const Json& v, const std::string& w) {
      if (v.is_null()) return;
      if (v.is_array()) {
        if (v.size() > kMaxNames) fail(w, ": got ", v.size(), " numbers, expected at most ", kMaxNames, ".");
        for (const auto& item : v) config.layers_to_transform.push_back(whole_number(item, w));
      } else {
        config.layers_to_transform = {whole_number(v, w)};
      }
    };
  }
  if (config.peft_type == PeftType::kLora) {
    out["lora_dropout"] = [&](const Json& v, const std::string& w) { config.lora_dropout = number(v, w); };
    out["use_rslora"] = [&](const Json& v, const std::string& w) { config.use_rslora = truth(v, w); };
    out["use_dora"] = [&](const Json& v, const std::string& w) { config.use_dora = truth(v, w); };
    out["lora_bias"] = [&](const Json& v, const std::string& w) { config.lora_bias = truth(v, w); };
    out["bias"] = [&](const Json& v, const std::string& w) {
      config.bias = static_cast<TrainedBias>(choice(v, trained_bias_names(), w));
    };
    out["init_lora_weights"] = [&](const Json& v, const std::string& w) {
      config.init_lora_weights = read_start(v, w, config.other);
    };
  }
  if (config.peft_type == PeftType::kLoha || config.peft_type == PeftType::kLokr) {
    out["use_effective_conv2d"] = [&](const Json& v, const std::string& w) {
      config.use_effective_conv2d = truth(v, w);
    };
  }
  if (config.peft_type == PeftType::kLokr) {
    out["decompose_both"] = [&](const Json& v, const std::string& w) { config.decompose_both = truth(v, w); };
    out["decompose_factor"] = [&](const Json& v, const std::string& w) {
      config.decompose_factor = whole_number(v, w);
    };
  }
  if (config.peft_type == PeftType::kIa3) {
    out["feedforward_modules"] = [&](const Json& v, const std::string& w) {
      config.feedforward_modules = module_pattern(v, w);
    };
  }
  return out;
}

}  // namespace

const std::vector<std::string>& peft_type_names() {
  static const std::vector<std::string> kNames{"LORA", "LOHA", "LOKR", "IA3", "LN_TUNING"};
  return kNames;
}

bool has_rank(PeftType type) { return type == PeftType::kLora || type == PeftType::kLoha || type == PeftType::kLokr; }

const std::vector<std::string>& lora_start_names() {
  static const std::vector<std::string> kNames{"default", "gaussian", "pissa", "olora", "orthogonal"};
  return kNames;
}

const std::vector<std::string>& trained_bias_names() {
  static const std::vector<std::string> kNames{"none", "all", "lora_only"};
  return kNames;
}

const std::string& name_of(PeftType type) { return peft_type_names()[static_cast<std::size_t>(type)]; }

AdapterConfig parse_adapter_config(const Json& json, const std::string& where) {
  if (!json.is_object()) fail(where, ": got ", json_kind(json), ", expected PEFT's object of settings.");
  AdapterConfig config;
  config.peft_type =
      static_cast<PeftType>(choice(json.value("peft_type", Json(nullptr)), peft_type_names(), where + ": peft_type"));
  const auto fields = readers(config);
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
    check_adapter_config(config, where);
  } catch (const UsageError& error) {
    throw Error(error.what());  // in a file it is the file that is wrong, not the call
  }
  return config;
}

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
  if (has_rank(config.peft_type)) {
    out["r"] = config.r;
    out[alpha_key(config.peft_type)] = tidy_number(config.lora_alpha);
    out["rank_pattern"] = to_json(config.rank_pattern);
    out["alpha_pattern"] = to_json(config.alpha_pattern);
    out["layers_pattern"] = list_or_null(config.layers_pattern);
    out["layers_to_transform"] = list_or_null(config.layers_to_transform);
  }
  if (config.peft_type == PeftType::kLora) {
    out["fan_in_fan_out"] = false;
    out["lora_dropout"] = config.lora_dropout;
    out["use_rslora"] = config.use_rslora;
    out["use_dora"] = config.use_dora;
    out["lora_bias"] = config.lora_bias;
    out["bias"] = trained_bias_names()[static_cast<std::size_t>(config.bias)];
    const bool is_default = config.init_lora_weights == LoraStart::kDefault;
    out["init_lora_weights"] =
        is_default ? Json(true) : Json(lora_start_names()[static_cast<std::size_t>(config.init_lora_weights)]);
  } else if (config.peft_type == PeftType::kIa3) {
    out["fan_in_fan_out"] = false;
    // PEFT takes null for "look the architecture up", and knows no vision models.
    out["feedforward_modules"] = std::holds_alternative<std::monostate>(config.feedforward_modules)
                                     ? Json::array()
                                     : to_json(config.feedforward_modules);
    out["init_ia3_weights"] = true;
  } else if (has_rank(config.peft_type)) {
    out["init_weights"] = true;
    out["module_dropout"] = 0.0;
    out["rank_dropout"] = 0.0;
    out["use_effective_conv2d"] = config.use_effective_conv2d;
  }
  if (config.peft_type == PeftType::kLokr) {
    out["decompose_both"] = config.decompose_both;
    out["decompose_factor"] = config.decompose_factor;
    out["rank_dropout_scale"] = false;
  }
  for (const auto& [key, value] : config.other.items()) out[key] = value;
  Json ordered = Json::object();
  for (auto& [key, value] : out) ordered[key] = std::move(value);
  return ordered;
}

void check_adapter_config(const AdapterConfig& config, const std::string& where) {
  const auto check_rank = [&](double rank, const char* field) {
    if (!(rank >= 1 && rank <= kMaxRank) || rank != std::floor(rank)) {
      fail_usage(where, ": ", field, ": got ", rank, ", expected a whole number from 1 to ", kMaxRank, ".");
    }
  };
  const auto check_alpha = [&](double alpha, const char* field) {
    if (!std::isfinite(alpha) || alpha == 0)
      fail_usage(where, ": ", field, ": got ", alpha, ", expected a finite number other than 0.");
  };
  check_rank(static_cast<double>(config.r), "r");
  check_alpha(config.lora_alpha, alpha_key(config.peft_type));
  for (const auto& [pattern, rank] : config.rank_pattern) check_rank(rank, "rank_pattern");
  for (const auto& [pattern, alpha] : config.alpha_pattern) check_alpha(alpha, "alpha_pattern");
  if (!(config.lora_dropout >= 0 && config.lora_dropout < 1)) {
    fail_usage(where, ": lora_dropout: got ", config.lora_dropout, ", expected a probability from 0 to below 1.");
  }
  if (config.decompose_factor != -1 && (config.decompose_factor < 1 || config.decompose_factor > kMaxFactor)) {
    fail_usage(where, ": decompose_factor: got ", config.decompose_factor,
               ", expected -1 (near the square root) or a number from 1 to ", kMaxFactor, ".");
  }
  if (config.peft_type != PeftType::kLora) {
    const bool is_lora_only = config.use_dora || config.lora_bias || config.use_rslora || config.lora_dropout != 0 ||
                              config.bias != TrainedBias::kNone || config.init_lora_weights != LoraStart::kDefault;
    if (is_lora_only) {
      fail_usage(where,
                 ": got one of use_dora, use_rslora, lora_bias, lora_dropout, bias, init_lora_weights with peft_type ",
                 name_of(config.peft_type), ", expected it with LORA only.");
    }
  }
  const auto* targets = std::get_if<std::vector<std::string>>(&config.target_modules);
  if (const auto* inputs = std::get_if<std::vector<std::string>>(&config.feedforward_modules);
      targets != nullptr && inputs != nullptr) {
    for (const auto& entry : *inputs) {
      if (std::find(targets->begin(), targets->end(), entry) == targets->end()) {
        fail_usage(where, ": feedforward_modules: got '", printable(entry),
                   "', expected only entries of target_modules, as PEFT does.");
      }
    }
  }
  if (config.lora_bias && (config.use_dora || (config.init_lora_weights != LoraStart::kDefault &&
                                               config.init_lora_weights != LoraStart::kGaussian))) {
    fail_usage(where,
               ": lora_bias: got it with use_dora, or with a start other than default and gaussian, expected it "
               "without, as in PEFT.");
  }
}

}  // namespace lorikeet
