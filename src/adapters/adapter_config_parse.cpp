// Reads PEFT's adapter_config.json, which may come from a stranger; adapter_config_json.cpp writes it.
#include <algorithm>
#include <functional>
#include <map>

#include "adapters/adapter_config.h"
#include "base/error.h"
#include "base/text.h"

namespace lorikeet {
namespace {

constexpr std::size_t kMaxNames = 10'000;
constexpr std::int64_t kVeraRank = 256, kUniLoraRank = 4, kTinyLoraRank = 2;  // PEFT's defaults

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

std::int64_t integer(const Json& value, const std::string& where) {
  if (!value.is_number_integer() || value.is_number_float() ||
      (value.is_number_unsigned() && value.get<std::uint64_t>() > INT64_MAX)) {
    fail(where, ": got ", json_kind(value), ", expected an integer.");
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
         ". This initialisation changes the base weights; convert the adapter with PEFT's "
         "save_pretrained(path_initial_model_for_weight_conversion=…).");
  }
  if (value != true) other["init_lora_weights"] = value;
  return LoraStart::kDefault;
}

// PEFT's OFT has either a size or a number of blocks; before 0.14 it had no size, and other tensors.
void check_block_size(const Json& json, const std::string& where) {
  if (!json.contains("oft_block_size")) {
    fail(where, ": got no oft_block_size, expected one. Before 0.14 PEFT had another OFT, which is not supported.");
  }
  const Json &r = json.value("r", Json(0)), &size = json["oft_block_size"];
  if ((r == 0) == (size == 0)) {
    fail(where, ": r, oft_block_size: got ", r.dump(), " and ", size.dump(),
         ", expected one of the two to be 0, as in PEFT: the other follows from the layer.");
  }
}

using FieldReader = std::function<void(const Json&, const std::string&)>;

// The fields that a method's configuration has here, each with what reads it.
FieldReader integer_reader(std::int64_t& member) {
  return [&member](const Json& v, const std::string& w) { member = integer(v, w); };
}

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
  if (!has_exclusions(config.peft_type)) out.erase("exclude_modules");
  if (has_rank(config.peft_type)) {
    out["r"] = [&](const Json& v, const std::string& w) { config.r = integer(v, w); };
  }
  if (has_rank_pattern(config.peft_type)) {
    out["rank_pattern"] = [&](const Json& v, const std::string& w) { config.rank_pattern = pattern_table(v, w); };
  }
  if (has_alpha(config.peft_type)) {
    out[alpha_key(config.peft_type)] = [&](const Json& v, const std::string& w) { config.lora_alpha = number(v, w); };
    out["alpha_pattern"] = [&](const Json& v, const std::string& w) { config.alpha_pattern = pattern_table(v, w); };
  }
  if (has_layer_filter(config.peft_type)) {
    out["layers_pattern"] = [&](const Json& v, const std::string& w) { config.layers_pattern = string_list(v, w); };
    out["layers_to_transform"] = [&](const Json& v, const std::string& w) {
      if (v.is_null()) return;
      if (v.is_array()) {
        if (v.size() > kMaxNames) fail(w, ": got ", v.size(), " numbers, expected at most ", kMaxNames, ".");
        for (const auto& item : v) config.layers_to_transform.push_back(integer(item, w));
      } else {
        config.layers_to_transform = {integer(v, w)};
      }
    };
  }
  if (has_bias(config.peft_type)) {
    out["bias"] = [&](const Json& v, const std::string& w) {
      config.bias = static_cast<TrainedBias>(choice(v, trained_bias_names(), w));
    };
  }
  if (config.peft_type == PeftType::kLora || config.peft_type == PeftType::kLoraXs)
    out["lora_dropout"] = [&](const Json& v, const std::string& w) { config.lora_dropout = number(v, w); };
  if (config.peft_type == PeftType::kLora) {
    out["use_rslora"] = [&](const Json& v, const std::string& w) { config.use_rslora = truth(v, w); };
    out["use_dora"] = [&](const Json& v, const std::string& w) { config.use_dora = truth(v, w); };
    out["lora_bias"] = [&](const Json& v, const std::string& w) { config.lora_bias = truth(v, w); };
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
    out["decompose_factor"] = [&](const Json& v, const std::string& w) { config.decompose_factor = integer(v, w); };
  }
  if (config.peft_type == PeftType::kIa3) {
    out["feedforward_modules"] = [&](const Json& v, const std::string& w) {
      config.feedforward_modules = module_pattern(v, w);
    };
  }
  if (config.peft_type == PeftType::kHira) {
    config.r = kPeftHiraRank;
    out["hira_dropout"] = [&](const Json& v, const std::string& w) { config.hira_dropout = number(v, w); };
  }
  if (config.peft_type == PeftType::kOft) {
    const auto flag = [](bool& member) {
      return [&member](const Json& v, const std::string& w) { member = truth(v, w); };
    };
    OftOptions& oft = config.oft;
    out["r"] = [&](const Json& v, const std::string& w) {
      if (const std::int64_t blocks = integer(v, w); blocks != 0) config.r = blocks;
    };
    out["oft_block_size"] = integer_reader(oft.block_size);
    out["block_share"] = flag(oft.block_share);
    out["coft"] = flag(oft.coft);
    out["eps"] = [&](const Json& v, const std::string& w) { oft.eps = number(v, w); };
    out["use_cayley_neumann"] = flag(oft.use_cayley_neumann);
    out["num_cayley_neumann_terms"] = integer_reader(oft.num_cayley_neumann_terms);
  }
  if (config.peft_type == PeftType::kBoft) {
    BoftOptions& boft = config.boft;
    out["boft_block_size"] = integer_reader(boft.block_size);
    out["boft_block_num"] = integer_reader(boft.block_num);
    out["boft_n_butterfly_factor"] = integer_reader(boft.n_butterfly_factor);
    out["boft_dropout"] = [&](const Json& v, const std::string& w) { boft.dropout = number(v, w); };
  }
  if (config.peft_type == PeftType::kFourierFt) {
    FourierFtOptions& fourierft = config.fourierft;
    fourierft.init_weights = false;  // PEFT's default
    out["n_frequency"] = integer_reader(fourierft.n_frequency);
    out["n_frequency_pattern"] = [&](const Json& v, const std::string& w) {
      fourierft.n_frequency_pattern = pattern_table(v, w);
    };
    out["scaling"] = [&](const Json& v, const std::string& w) { fourierft.scaling = number(v, w); };
    out["random_loc_seed"] = integer_reader(fourierft.random_loc_seed);
    out["init_weights"] = [&](const Json& v, const std::string& w) { fourierft.init_weights = truth(v, w); };
  }
  if (config.peft_type == PeftType::kVera) {
    VeraOptions& vera = config.vera;
    config.r = kVeraRank;
    vera.save_projection = true;  // PEFT's default
    out["projection_prng_key"] = integer_reader(vera.projection_prng_key);
    out["save_projection"] = [&](const Json& v, const std::string& w) { vera.save_projection = truth(v, w); };
    out["vera_dropout"] = [&](const Json& v, const std::string& w) { vera.dropout = number(v, w); };
    out["d_initial"] = [&](const Json& v, const std::string& w) { vera.d_initial = number(v, w); };
  }
  if (config.peft_type == PeftType::kUniLora) {
    UniLoraOptions& unilora = config.unilora;
    config.r = kUniLoraRank;
    out["theta_d_length"] = integer_reader(unilora.theta_d_length);
    out["proj_seed"] = integer_reader(unilora.proj_seed);
    out["save_indices"] = [&](const Json& v, const std::string& w) { unilora.save_indices = truth(v, w); };
    out["init_theta_d_bound"] = [&](const Json& v, const std::string& w) { unilora.init_theta_d_bound = number(v, w); };
    out["unilora_dropout"] = [&](const Json& v, const std::string& w) { unilora.dropout = number(v, w); };
  }
  if (config.peft_type == PeftType::kTinyLora) {
    TinyLoraOptions& tiny = config.tinylora;
    config.r = kTinyLoraRank;
    out["u"] = integer_reader(tiny.u);
    out["weight_tying"] = [&](const Json& v, const std::string& w) { tiny.weight_tying = number(v, w); };
    out["projection_seed"] = integer_reader(tiny.projection_seed);
    out["save_projection"] = [&](const Json& v, const std::string& w) { tiny.save_projection = truth(v, w); };
    out["tinylora_dropout"] = [&](const Json& v, const std::string& w) { tiny.dropout = number(v, w); };
    out["init_v_bound"] = [&](const Json& v, const std::string& w) { tiny.init_v_bound = number(v, w); };
    out["init_weights"] = [&](const Json& v, const std::string& w) {
      if (!v.is_boolean() && v != "uniform")
        fail(w, ": got ", printable(v.dump(), 60), ", expected true, false or uniform.");
      tiny.starts_uniform = v == "uniform";
    };
  }
  return out;
}

}  // namespace

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
  if (config.peft_type == PeftType::kOft) check_block_size(json, where);
  try {
    check_adapter_config(config, where);
  } catch (const UsageError& error) {
    throw Error(error.what());  // in a file it is the file that is wrong, not the call
  }
  return config;
}

}  // namespace lorikeet
