#include "train/recipe_schema.h"

#include <yaml-cpp/yaml.h>

#include "train/recipe_field.h"

namespace lorikeet {
namespace {

// A scalar without quotes is a number, a boolean or null if it reads as one.
Json json_of(const YAML::Node& node) {
  if (node.IsSequence()) {
    Json out = Json::array();
    for (const auto& item : node) out.push_back(json_of(item));
    return out;
  }
  if (node.IsMap()) {
    Json out = Json::object();
    for (const auto& item : node) out[item.first.Scalar()] = json_of(item.second);
    return out;
  }
  if (!node.IsDefined() || node.IsNull()) return nullptr;
  if (node.Tag() == "!") return node.Scalar();
  if (std::int64_t integer = 0; YAML::convert<std::int64_t>::decode(node, integer)) return integer;
  if (double number = 0; YAML::convert<double>::decode(node, number)) return number;
  if (node.Scalar() == "true" || node.Scalar() == "false") return node.Scalar() == "true";
  return node.Scalar();
}

}  // namespace

Json recipe_schema() {
  const Recipe defaults;
  Json properties = Json::object();
  for (const auto& field : fields::all()) {
    Json property = field.schema;
    property["description"] = field.meaning;
    YAML::Emitter value;
    field.write(defaults, value);
    if (field.key != "reference") property["default"] = json_of(YAML::Load(value.c_str()));
    properties[field.key] = std::move(property);
  }
  properties["run"] = {{"type", "string"}, {"description", "the run folder"}};
  return {{"$schema", "http://json-schema.org/draft-07/schema#"},
          {"title", "Lorikeet recipe"},
          {"description", "One training run of 'lorikeet train'."},
          {"type", "object"},
          {"properties", std::move(properties)},
          {"additionalProperties", false}};
}

}  // namespace lorikeet
