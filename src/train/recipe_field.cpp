#include "train/recipe_field.h"

#include <cmath>
#include <cstdlib>
#include <sstream>

namespace lorikeet::fields {
namespace {

// YAML aliases repeat a long text in three bytes. This limit and kMaxNames bound the expansion of a small file.
constexpr std::size_t kMaxText = 4096;

}  // namespace

std::string shown(const YAML::Node& node) {
  if (node.IsScalar()) return cat("'", printable(node.Scalar(), 60), "'");
  return node.IsSequence() ? "a list" : node.IsMap() ? "a table" : "nothing";
}

std::string text(const std::string& key, const YAML::Node& node) {
  if (node.IsNull()) return "";
  if (!node.IsScalar()) fail_usage(key, ": got ", shown(node), ", expected a word.");
  if (node.Scalar().size() > kMaxText)
    fail_usage(key, ": got ", node.Scalar().size(), " characters, expected at most ", kMaxText, ".");
  // yaml-cpp writes control characters verbatim but cannot read them back, so the run's recipe would differ.
  std::string visible = node.Scalar();
  std::erase_if(visible, [](char c) { return c == '\n' || c == '\t'; });
  if (printable(visible, kMaxText) != visible)
    fail_usage(key, ": got ", shown(node), ", expected no control characters.");
  return node.Scalar();
}

double number(const std::string& key, const YAML::Node& node, const NumberRange& range) {
  double value = 0;
  if (!node.IsScalar() || !YAML::convert<double>::decode(node, value) || !std::isfinite(value) ||
      !range.contains(value)) {
    fail_usage(key, ": got ", shown(node), ", expected a number from ", range.least, " to ", range.greatest, ".");
  }
  return value;
}

std::int64_t integer(const std::string& key, const YAML::Node& node, const IntegerRange& range) {
  std::int64_t value = 0;
  if (!node.IsScalar() || !YAML::convert<std::int64_t>::decode(node, value) || !range.contains(value)) {
    fail_usage(key, ": got ", shown(node), ", expected an integer from ", range.least, " to ", range.greatest, ".");
  }
  return value;
}

bool boolean(const std::string& key, const YAML::Node& node) {
  bool value = false;
  if (!node.IsScalar() || !YAML::convert<bool>::decode(node, value))
    fail_usage(key, ": got ", shown(node), ", expected true or false.");
  return value;
}

std::vector<std::string> strings(const std::string& key, const YAML::Node& node) {
  if (node.IsNull()) return {};
  if (node.IsScalar()) return {text(key, node)};
  if (!node.IsSequence()) fail_usage(key, ": got ", shown(node), ", expected a list of names.");
  if (node.size() > kMaxNames)
    fail_usage(key, ": got a list of ", node.size(), " names, expected at most ", kMaxNames, ".");
  std::vector<std::string> out;
  for (const auto& item : node) out.push_back(text(key, item));
  return out;
}

PatternTable table(const std::string& key, const YAML::Node& node) {
  if (node.IsNull()) return {};
  if (!node.IsMap()) fail_usage(key, ": got ", shown(node), ", expected a table of numbers by pattern.");
  if (node.size() > kMaxNames)
    fail_usage(key, ": got a table of ", node.size(), " patterns, expected at most ", kMaxNames, ".");
  PatternTable out;
  for (const auto& item : node) out.emplace_back(text(key, item.first), number(key, item.second, {-1e6, 1e6}));
  return out;
}

std::string exact(double value) {
  for (int precision = 6; precision <= 17; ++precision) {
    std::ostringstream out;
    out.precision(precision);
    out << value;
    if (std::strtod(out.str().c_str(), nullptr) == value) return out.str();  // stod throws for subnormal numbers
  }
  return std::to_string(value);
}

}  // namespace lorikeet::fields
