#include "models/class_labels.h"

#include <charconv>
#include <set>
#include <sstream>

#include "base/error.h"
#include "base/file.h"
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

constexpr std::uint64_t kMaxClassFile = 16 << 20;

std::vector<std::string> json_labels(const Json& json) {
  if (json.is_object()) {
    const auto labels = json.find("id2label");
    return labels == json.end() ? by_number("class names", json) : by_number("id2label", *labels);
  }
  std::vector<std::string> out;
  for (const Json& label : json) out.push_back(label_text(label));
  return out;
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> out;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) {
    if (line.ends_with('\r')) line.pop_back();
    out.push_back(line);
  }
  while (!out.empty() && out.back().empty()) out.pop_back();
  return out;
}

}  // namespace

std::vector<std::string> read_class_file(const std::filesystem::path& path) {
  std::string text = read_file(path, kMaxClassFile);
  if (text.starts_with("\xEF\xBB\xBF")) text.erase(0, 3);
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  const bool is_json = first != std::string::npos && (text[first] == '[' || text[first] == '{');
  std::vector<std::string> out;
  try {
    out = is_json ? json_labels(parse_json(text, "class names")) : lines_of(text);
  } catch (const Error& error) {
    fail(path.string(), ": ", error.what());
  }
  if (out.empty()) fail(path.string(), ": got no class names, expected one a line, or a JSON list.");
  std::set<std::string> seen;
  for (const std::string& name : out) {
    if (name.empty() || !is_utf8(name))
      fail(path.string(), ": got ", name.empty() ? "an empty name" : "a name that is not UTF-8", " for class ",
           seen.size(), ", expected a name in UTF-8 for each class.");
    if (!seen.insert(name).second)
      fail(path.string(), ": got '", printable(name), "' twice, expected different names.");
  }
  return out;
}

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
