// The types of recipe keys: how each is read from YAML, checked and written. The keys are in train/recipe_fields.cpp.
#pragma once

#include <yaml-cpp/yaml.h>

#include <cstdint>
#include <functional>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "base/error.h"
#include "base/json.h"
#include "base/text.h"
#include "train/ranges.h"
#include "train/recipe.h"

namespace lorikeet::fields {

/// Maximum number of names in a list and of patterns in a table.
inline constexpr std::size_t kMaxNames = 10'000;

/// A key of a recipe. `read` throws UsageError with a message that starts with the key.
struct Field {
  std::string key;
  std::string meaning;
  std::function<void(Recipe&, const YAML::Node&)> read;
  std::function<void(const Recipe&, YAML::Emitter&)> write;
  /// JSON Schema of the value.
  Json schema = {};
};

// Schemas of values.
inline Json integer_schema(const IntegerRange& range) {
  return {{"type", "integer"}, {"minimum", range.least}, {"maximum", range.greatest}};
}
inline Json number_schema(const NumberRange& range) {
  return {{"type", "number"}, {"minimum", range.least}, {"maximum", range.greatest}};
}
inline Json list_schema(Json items, std::size_t most) {
  return {{"type", "array"}, {"items", std::move(items)}, {"maxItems", most}};
}
/// One of several schemas.
inline Json any_of(Json schemas) { return {{"anyOf", std::move(schemas)}}; }
inline const Json kTextSchema = {{"type", "string"}};
inline const Json kNullSchema = {{"type", "null"}};

/// Formats a value for a message.
std::string shown(const YAML::Node& node);
/// Read a value of one type. Throw UsageError with a message that starts with `key`.
std::string text(const std::string& key, const YAML::Node& node);
double number(const std::string& key, const YAML::Node& node, const NumberRange& range);
std::int64_t integer(const std::string& key, const YAML::Node& node, const IntegerRange& range);
bool boolean(const std::string& key, const YAML::Node& node);
std::vector<std::string> strings(const std::string& key, const YAML::Node& node);
PatternTable table(const std::string& key, const YAML::Node& node);
/// Returns the shortest text that parses to the same number.
std::string exact(double value);

// Field types. `get` selects the member of Recipe or AdapterConfig.
template <typename Get>
Field string_field(std::string key, std::string meaning, Get get) {
  return {key,
          std::move(meaning),
          [=](Recipe& r, const YAML::Node& n) { get(r) = text(key, n); },
          [=](const Recipe& r, YAML::Emitter& out) { out << get(const_cast<Recipe&>(r)); },
          {{"type", {"string", "null"}}}};
}

template <typename Get>
Field choice_field(std::string key, std::string meaning, std::vector<std::string> choices, Get get) {
  return {key,
          meaning + " (" + join(choices, ", ") + ")",
          [=](Recipe& r, const YAML::Node& n) {
            const std::string value = text(key, n);
            for (std::size_t i = 0; i < choices.size(); ++i) {
              if (choices[i] != value) continue;
              auto& member = get(r);
              member = static_cast<std::remove_reference_t<decltype(member)>>(i);
              return;
            }
            fail_usage(key, ": got ", shown(n), ", expected one of ", join(choices, ", "), ".");
          },
          [=](const Recipe& r, YAML::Emitter& out) {
            out << choices[static_cast<std::size_t>(get(const_cast<Recipe&>(r)))];
          },
          {{"enum", choices}}};
}

template <typename Get>
Field integer_field(std::string key, std::string meaning, IntegerRange range, Get get) {
  return {key, std::move(meaning),
          [=](Recipe& r, const YAML::Node& n) {
            get(r) = static_cast<std::remove_reference_t<decltype(get(r))>>(integer(key, n, range));
          },
          [=](const Recipe& r, YAML::Emitter& out) { out << static_cast<std::int64_t>(get(const_cast<Recipe&>(r))); },
          integer_schema(range)};
}

template <typename Get>
Field number_field(std::string key, std::string meaning, NumberRange range, Get get) {
  return {key, std::move(meaning), [=](Recipe& r, const YAML::Node& n) { get(r) = number(key, n, range); },
          [=](const Recipe& r, YAML::Emitter& out) { out << exact(get(const_cast<Recipe&>(r))); },
          number_schema(range)};
}

template <typename Get>
Field boolean_field(std::string key, std::string meaning, Get get) {
  return {key,
          std::move(meaning),
          [=](Recipe& r, const YAML::Node& n) { get(r) = boolean(key, n); },
          [=](const Recipe& r, YAML::Emitter& out) { out << get(const_cast<Recipe&>(r)); },
          {{"type", "boolean"}}};
}

template <typename Get>
Field strings_field(std::string key, std::string meaning, Get get) {
  return {key, std::move(meaning), [=](Recipe& r, const YAML::Node& n) { get(r) = strings(key, n); },
          [=](const Recipe& r, YAML::Emitter& out) { out << YAML::Flow << get(const_cast<Recipe&>(r)); },
          any_of({kTextSchema, kNullSchema, list_schema(kTextSchema, kMaxNames)})};
}

template <typename Get>
Field integers_field(std::string key, std::string meaning, Get get) {
  return {key, std::move(meaning),
          [=](Recipe& r, const YAML::Node& n) {
            get(r).clear();
            if (n.IsNull()) return;
            if (!n.IsSequence() || n.size() > kMaxNames)
              fail_usage(key, ": got ", shown(n), ", expected a list of at most ", kMaxNames, " integers.");
            for (const auto& item : n) get(r).push_back(integer(key, item, {0, 1'000'000}));
          },
          [=](const Recipe& r, YAML::Emitter& out) { out << YAML::Flow << get(const_cast<Recipe&>(r)); },
          any_of({kNullSchema, list_schema(integer_schema({0, 1'000'000}), kMaxNames)})};
}

template <typename Get>
Field pattern_field(std::string key, std::string meaning, Get get) {
  return {key, std::move(meaning),
          [=](Recipe& r, const YAML::Node& n) {
            if (n.IsSequence()) {
              get(r) = strings(key, n);
            } else if (const std::string value = text(key, n); value.empty()) {
              get(r) = std::monostate{};
            } else {
              get(r) = value;
            }
          },
          [=](const Recipe& r, YAML::Emitter& out) {
            const ModulePattern& pattern = get(const_cast<Recipe&>(r));
            if (const auto* regex = std::get_if<std::string>(&pattern)) {
              out << YAML::SingleQuoted << *regex;
            } else if (const auto* list = std::get_if<std::vector<std::string>>(&pattern)) {
              out << YAML::Flow << *list;
            } else {
              out << YAML::Null;
            }
          },
          any_of({kTextSchema, kNullSchema, list_schema(kTextSchema, kMaxNames)})};
}

template <typename Get>
Field table_field(std::string key, std::string meaning, Get get) {
  return {
      key, std::move(meaning), [=](Recipe& r, const YAML::Node& n) { get(r) = table(key, n); },
      [=](const Recipe& r, YAML::Emitter& out) {
        out << YAML::Flow << YAML::BeginMap;
        for (const auto& [pattern, value] : get(const_cast<Recipe&>(r)))
          out << YAML::Key << pattern << YAML::Value << exact(value);
        out << YAML::EndMap;
      },
      any_of(
          {kNullSchema,
           {{"type", "object"}, {"additionalProperties", number_schema({-1e6, 1e6})}, {"maxProperties", kMaxNames}}})};
}

/// Returns all keys except `run`, in the order in which they are written.
const std::vector<Field>& all();

}  // namespace lorikeet::fields
