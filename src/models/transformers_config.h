// The config.json of a transformers model: values with their types and ranges checked, and the graph it describes.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "base/json.h"
#include "models/model_entry.h"

namespace lorikeet {

/// Reads what a family needs. Every function throws Error, naming the key, for a value of another type or out of range;
/// a missing key or null is the default, which is transformers' own.
class TransformersConfig {
 public:
  /// Keeps a reference.
  explicit TransformersConfig(const Json& json) : json_(json) {}

  static constexpr std::int64_t kLargest = 1 << 16;
  /// Layers of one kind: a graph of more would be an attack.
  static constexpr std::int64_t kMostLayers = 256;

  /// From 1 to `most`.
  std::int64_t whole(const std::string& key, std::int64_t otherwise, std::int64_t most = kLargest) const;
  double real(const std::string& key, double otherwise) const;
  bool flag(const std::string& key, bool otherwise) const;
  std::string text(const std::string& key, const std::string& otherwise = "") const;
  /// A list of integers from 1 to `most`.
  std::vector<std::int64_t> list(const std::string& key, const std::vector<std::int64_t>& otherwise,
                                 std::int64_t most = kLargest) const;
  /// "gelu", "gelu_new" or "gelu_pytorch_tanh".
  GeluForm gelu(const std::string& key) const;
  /// As many as id2label has, or else num_labels.
  std::int64_t classes() const;

  // Values of which one alone is supported.
  void expect_whole(const std::string& key, std::int64_t only) const;
  void expect_flag(const std::string& key, bool only) const;
  void expect_text(const std::string& key, const std::string& only) const;
  /// Throws Error unless `part` divides `all`.
  void check_divides(const std::string& part_key, std::int64_t part, const std::string& key, std::int64_t all) const;

  /// The entry of a model that this config describes.
  ModelEntry entry(const std::string& family, const std::function<Graph()>& network, const LibraryNames& names) const;

 private:
  const Json* find(const std::string& key) const;

  const Json& json_;
};

/// The model that a config.json of transformers describes: an image classifier under the names of transformers 5.
/// Throws Error, without the file's name, if `model_type` is not known or a value is not supported.
ModelEntry transformers_model(const Json& config);

}  // namespace lorikeet
