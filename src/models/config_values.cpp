#include "models/config_values.h"

#include "base/error.h"
#include "base/text.h"

namespace lorikeet {

ConfigValues::ConfigValues(const Json& json) : json_(json) {
  if (!json.is_object()) fail("got ", json_kind(json), ", expected an object.");
}

const Json* ConfigValues::find(const std::string& key) const {
  const auto found = json_.find(key);
  return found == json_.end() || found->is_null() ? nullptr : &*found;
}

bool ConfigValues::flag(const std::string& key, bool otherwise) const {
  const Json* value = find(key);
  if (value == nullptr) return otherwise;
  if (!value->is_boolean()) refuse(key, *value, "true or false");
  return value->get<bool>();
}

std::string ConfigValues::text(const std::string& key, const std::string& otherwise) const {
  const Json* value = find(key);
  if (value == nullptr) return otherwise;
  if (!value->is_string()) refuse(key, *value, "a string");
  return value->get<std::string>();
}

double ConfigValues::positive(const std::string& key, double otherwise, double limit) const {
  const Json* value = find(key);
  if (value == nullptr) return otherwise;
  if (!value->is_number() || !(*value > 0) || !(*value < limit))
    refuse(key, *value, cat("a number above 0 and below ", limit));
  return value->get<double>();
}

std::int64_t ConfigValues::integer(const std::string& key, std::int64_t otherwise, std::int64_t most) const {
  const Json* value = find(key);
  return value == nullptr ? otherwise : integer_of(key, *value, most);
}

std::vector<std::int64_t> ConfigValues::list(const std::string& key, const std::vector<std::int64_t>& otherwise,
                                             std::int64_t most) const {
  const Json* value = find(key);
  if (value == nullptr) return otherwise;
  constexpr std::size_t kLongest = 16;
  if (!value->is_array() || value->empty() || value->size() > kLongest)
    fail(key, ": got ", json_kind(*value), ", expected a list of 1 to ", kLongest, " integers.");
  std::vector<std::int64_t> out;
  for (const Json& one : *value) out.push_back(integer_of(key, one, most));
  return out;
}

std::int64_t ConfigValues::integer_of(const std::string& key, const Json& value, std::int64_t most) {
  if (!value.is_number_integer() || value < 1 || value > most) refuse(key, value, cat("an integer from 1 to ", most));
  return value.get<std::int64_t>();
}

void ConfigValues::refuse(const std::string& key, const Json& value, const std::string& expected) {
  fail(key, ": got ", printable(json_text(value)), ", expected ", expected, ".");
}

}  // namespace lorikeet
