// PEFT's LoraConfig (peft 0.21, `adapter_config.json`): the fields that vision models use, with PEFT's names and
// defaults. Fields that only language models use are kept as they are when a file is rewritten.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/json.h"

namespace lorikeet {

/// Which modules a field means: none, a regular expression for the whole dotted name, or a list of names and suffixes.
using ModulePattern = std::variant<std::monostate, std::string, std::vector<std::string>>;

/// Regular expressions for the end of a module's name, each with a value; the first that matches counts.
using PatternTable = std::vector<std::pair<std::string, double>>;

/// How lora_A and lora_B begin: PEFT's `init_lora_weights` true ('default': A Kaiming-uniform, B zero) and 'gaussian'.
enum class LoraStart { kDefault, kGaussian };

struct LoraConfig {
  std::int64_t r = 8;
  double lora_alpha = 8;
  double lora_dropout = 0;
  ModulePattern target_modules;
  ModulePattern exclude_modules;
  std::vector<std::string> modules_to_save;
  PatternTable rank_pattern;
  PatternTable alpha_pattern;
  std::vector<std::int64_t> layers_to_transform;
  std::vector<std::string> layers_pattern;
  bool use_rslora = false;
  LoraStart init_lora_weights = LoraStart::kDefault;
  std::string base_model_name_or_path;
  /// Fields that are not interpreted here, as they were read.
  Json other = Json::object();

  bool has_targets() const { return !std::holds_alternative<std::monostate>(target_modules); }
};

/// Reads the object of an `adapter_config.json`; `where` begins the message of an Error. A method or an option that
/// would change the numbers and is not supported is refused by name.
LoraConfig parse_lora_config(const Json& json, const std::string& where);

/// PEFT's object, keys sorted.
Json lora_config_json(const LoraConfig& config);

/// Throws UsageError for values that cannot be (rank 0, dropout 1 …).
void check_lora_config(const LoraConfig& config, const std::string& where);

}  // namespace lorikeet
