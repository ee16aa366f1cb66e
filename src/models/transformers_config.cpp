#include "models/transformers_config.h"

#include <map>
#include <utility>

#include "base/error.h"
#include "base/text.h"
#include "models/convnext.h"
#include "models/resnet.h"
#include "models/vit.h"

namespace lorikeet {
namespace {

using Reader = ModelEntry (*)(const Json&);

const std::map<std::string, Reader> kReaders{
    {"convnext", convnext_from_config}, {"convnextv2", convnext_from_config},
    {"vit", vit_from_config},           {"deit", vit_from_config},
    {"dinov2", vit_from_config},        {"dinov2_with_registers", vit_from_config},
    {"resnet", resnet_from_config},
};

}  // namespace

const Json* TransformersConfig::find(const std::string& key) const {
  const auto found = json_.find(key);
  return found == json_.end() || found->is_null() ? nullptr : &*found;
}

std::int64_t TransformersConfig::whole(const std::string& key, std::int64_t otherwise, std::int64_t most) const {
  const Json* value = find(key);
  if (value == nullptr) return otherwise;
  if (!value->is_number_integer() || *value < 1 || *value > most)
    fail(key, ": got ", printable(json_text(*value)), ", expected an integer from 1 to ", most, ".");
  return value->get<std::int64_t>();
}

double TransformersConfig::real(const std::string& key, double otherwise) const {
  const Json* value = find(key);
  if (value == nullptr) return otherwise;
  if (!value->is_number() || !(*value > 0) || !(*value < 1e6))
    fail(key, ": got ", printable(json_text(*value)), ", expected a number greater than 0.");
  return value->get<double>();
}

bool TransformersConfig::flag(const std::string& key, bool otherwise) const {
  const Json* value = find(key);
  if (value == nullptr) return otherwise;
  if (!value->is_boolean()) fail(key, ": got ", printable(json_text(*value)), ", expected true or false.");
  return value->get<bool>();
}

std::string TransformersConfig::text(const std::string& key, const std::string& otherwise) const {
  const Json* value = find(key);
  if (value == nullptr) return otherwise;
  if (!value->is_string()) fail(key, ": got ", printable(json_text(*value)), ", expected a string.");
  return value->get<std::string>();
}

std::vector<std::int64_t> TransformersConfig::list(const std::string& key, const std::vector<std::int64_t>& otherwise,
                                                   std::int64_t most) const {
  const Json* value = find(key);
  if (value == nullptr) return otherwise;
  constexpr std::size_t kLongest = 16;
  const bool is_list = value->is_array() && !value->empty() && value->size() <= kLongest;
  if (!is_list) fail(key, ": got ", json_kind(*value), ", expected a list of 1 to ", kLongest, " integers.");
  std::vector<std::int64_t> out;
  for (const Json& one : *value) {
    if (!one.is_number_integer() || one < 1 || one > most)
      fail(key, ": got ", printable(json_text(one)), ", expected integers from 1 to ", most, ".");
    out.push_back(one.get<std::int64_t>());
  }
  return out;
}

GeluForm TransformersConfig::gelu(const std::string& key) const {
  const std::string name = text(key, "gelu");
  if (name == "gelu") return GeluForm::kExact;
  if (name == "gelu_new" || name == "gelu_pytorch_tanh") return GeluForm::kTanh;
  fail(key, ": got '", printable(name), "', expected 'gelu', 'gelu_new' or 'gelu_pytorch_tanh'.");
}

std::int64_t TransformersConfig::classes() const {
  const Json* labels = find("id2label");
  if (labels == nullptr) return whole("num_labels", 2);
  if (!labels->is_object() || labels->empty())
    fail("id2label: got ", json_kind(*labels), ", expected an object with a name for each class.");
  return static_cast<std::int64_t>(labels->size());
}

void TransformersConfig::expect_whole(const std::string& key, std::int64_t only) const {
  if (const std::int64_t value = whole(key, only); value != only) fail(key, ": got ", value, ", expected ", only, ".");
}

void TransformersConfig::expect_flag(const std::string& key, bool only) const {
  if (flag(key, only) != only) fail(key, ": got ", only ? "false" : "true", ", which is not supported.");
}

void TransformersConfig::expect_text(const std::string& key, const std::string& only) const {
  if (const std::string value = text(key, only); value != only)
    fail(key, ": got '", printable(value), "', expected '", only, "'.");
}

void TransformersConfig::check_divides(const std::string& part_key, std::int64_t part, const std::string& key,
                                       std::int64_t all) const {
  if (all % part != 0) fail(key, ": got ", all, ", expected a multiple of ", part_key, ", ", part, ".");
}

ModelEntry TransformersConfig::entry(const std::string& family, const std::function<Graph()>& network,
                                     const LibraryNames& names) const {
  ModelEntry out{.name = "transformers/" + text("model_type"),
                 .family = family,
                 .library = Library::kTransformers,
                 .network = network,
                 .names = names};
  if (!names.transformers_4.empty()) out.translate_name = from_transformers_4(network(), names);
  return out;
}

ModelEntry transformers_model(const Json& config) {
  const std::string type = TransformersConfig(config).text("model_type");
  const auto reader = kReaders.find(type);
  if (reader != kReaders.end()) return reader->second(config);
  std::vector<std::string> known;
  for (const auto& [name, unused] : kReaders) known.push_back(name);
  fail("model_type: got '", printable(type), "', expected one of ", join(known, ", "), ".");
}

}  // namespace lorikeet
