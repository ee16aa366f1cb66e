// Values of a JSON object that another library wrote, checked: config.json, preprocessor_config.json.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/json.h"

namespace lorikeet {

/// Every function throws Error, beginning with the key, for a value of another type or out of range. A missing key or
/// null has the default.
class ConfigValues {
 public:
  /// Keeps a reference. Throws Error unless `json` is an object.
  explicit ConfigValues(const Json& json);

  static constexpr std::int64_t kLargest = 1 << 16;

  /// Null if the key is missing or null.
  const Json* find(const std::string& key) const;
  bool flag(const std::string& key, bool otherwise) const;
  std::string text(const std::string& key, const std::string& otherwise = "") const;
  /// A number above 0 and below `limit`.
  double positive(const std::string& key, double otherwise, double limit = 1e6) const;
  /// From 1 to `most`.
  std::int64_t integer(const std::string& key, std::int64_t otherwise, std::int64_t most = kLargest) const;
  /// A list of integers from 1 to `most`.
  std::vector<std::int64_t> list(const std::string& key, const std::vector<std::int64_t>& otherwise,
                                 std::int64_t most = kLargest) const;

  /// `value` as an integer from 1 to `most`.
  static std::int64_t integer_of(const std::string& key, const Json& value, std::int64_t most = kLargest);
  [[noreturn]] static void refuse(const std::string& key, const Json& value, const std::string& expected);

 private:
  const Json& json_;
};

}  // namespace lorikeet
