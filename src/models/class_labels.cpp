#include "models/class_labels.h"

#include <charconv>

#include "base/error.h"
#include "base/text.h"

namespace lorikeet {
namespace {

std::string label_text(const Json& value) { return value.is_string() ? value.get<std::string>() : json_text(value); }

// {"0": …, "1": …} in the order of the numbers.
std::vector<std::string> by_number(const std::string& key, const Json& object) {
  std::vector<std::string> out(object.size());
  std::vector<bool> seen(object.size());
  for (const auto& [number, label] : object.items()) {
    std::size_t index = 0;
    const auto result = std::from_chars(number.data(), number.data() + number.size(), index);
    if (result.ec != std::errc() || *result.ptr != '\0' || index >= out.size() || seen[index]) {
      fail(key, ": got the key '", printable(number), "', expected each number from 0 to ", out.size() - 1, " once.");
    }
    seen[index] = true;
    out[index] = label_text(label);
  }
  return out;
}

}  // namespace

std::vector<std::string> transformers_labels(const ConfigValues& config) {
  if (const Json* labels = config.find("id2label")) {
    if (!labels->is_object() || labels->empty())
      fail("id2label: got ", json_kind(*labels), ", expected an object with a name for each class.");
    return by_number("id2label", *labels);
  }
  const std::int64_t count = config.integer("num_labels", 2);
  std::vector<std::string> out;
  for (std::int64_t i = 0; i < count; ++i) out.push_back("LABEL_" + std::to_string(i));
  return out;
}

std::vector<std::string> timm_labels(const ConfigValues& config) {
  const Json* names = config.find("label_names");
  if (names == nullptr || names->empty()) return {};
  if (!names->is_array() && !names->is_object())
    fail("label_names: got ", json_kind(*names), ", expected a list or an object of names.");
  std::vector<std::string> out;
  if (names->is_object()) out = by_number("label_names", *names);
  if (names->is_array()) {
    for (const Json& name : *names) out.push_back(label_text(name));
  }
  const Json* descriptions = config.find("label_descriptions");
  if (descriptions == nullptr || !descriptions->is_object()) return out;
  for (std::string& label : out) {
    if (const auto found = descriptions->find(label); found != descriptions->end()) label = label_text(*found);
  }
  return out;
}

}  // namespace lorikeet
