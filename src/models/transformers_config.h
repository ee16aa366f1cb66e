// The config.json of a transformers model: values with their types and ranges checked, and the graph it describes.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "base/json.h"
#include "models/config_values.h"
#include "models/model_entry.h"

namespace lorikeet {

/// Reads what a family needs. The defaults are transformers' own.
class TransformersConfig : public ConfigValues {
 public:
  using ConfigValues::ConfigValues;

  /// Limits the layers of one kind: a graph of more would be an attack.
  static constexpr std::int64_t kMostLayers = 256;

  /// "relu", "relu6", "silu" or "swish", "hardswish", "gelu", "gelu_new" or "gelu_pytorch_tanh".
  Op activation(const std::string& key, const std::string& otherwise) const;
  /// "gelu", "gelu_new" or "gelu_pytorch_tanh".
  GeluForm gelu(const std::string& key) const;
  /// The number of transformers_labels().
  std::int64_t classes() const;

  // Values of which one alone is supported.
  void expect_integer(const std::string& key, std::int64_t only) const;
  void expect_flag(const std::string& key, bool only) const;
  void expect_text(const std::string& key, const std::string& only) const;
  /// Throws Error unless `part` divides `all`.
  void check_divides(const std::string& part_key, std::int64_t part, const std::string& key, std::int64_t all) const;

  /// The entry of a model that this config describes.
  ModelEntry entry(const std::string& family, const std::function<Graph()>& network, const LibraryNames& names) const;
};

/// The model that a config.json of transformers describes: an image classifier under the names of transformers 5.
/// Throws Error, without the file's name, if `model_type` is not known or a value is not supported.
ModelEntry transformers_model(const Json& config);

}  // namespace lorikeet
