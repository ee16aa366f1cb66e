#include "models/transformers_config.h"

#include <map>
#include <utility>

#include "base/error.h"
#include "base/text.h"
#include "models/class_labels.h"
#include "models/convnext.h"
#include "models/inverted_residual.h"
#include "models/mobilevit.h"
#include "models/resnet.h"
#include "models/swin.h"
#include "models/vit.h"

namespace lorikeet {
namespace {

using Reader = ModelEntry (*)(const Json&);

const std::map<std::string, Reader> kReaders{
    {"convnext", convnext_from_config},
    {"convnextv2", convnext_from_config},
    {"swin", swin_from_config},
    {"vit", vit_from_config},
    {"deit", vit_from_config},
    {"dinov2", vit_from_config},
    {"dinov2_with_registers", vit_from_config},
    {"mobilenet_v2", mobilenet_v2_from_config},
    {"mobilevit", mobilevit_from_config},
    {"resnet", resnet_from_config},
};

}  // namespace

Op TransformersConfig::activation(const std::string& key, const std::string& otherwise) const {
  static const std::map<std::string, Op> kActivations{{"relu", Relu{}},
                                                      {"relu6", Relu6{}},
                                                      {"silu", Silu{}},
                                                      {"swish", Silu{}},
                                                      {"hardswish", HardSwish{}},
                                                      {"gelu", Gelu{}},
                                                      {"gelu_new", Gelu(GeluForm::kTanh)},
                                                      {"gelu_pytorch_tanh", Gelu(GeluForm::kTanh)}};
  const std::string name = text(key, otherwise);
  const auto found = kActivations.find(name);
  if (found != kActivations.end()) return found->second;
  std::vector<std::string> known;
  for (const auto& [own, unused] : kActivations) known.push_back(own);
  fail(key, ": got '", printable(name), "', expected one of ", join(known, ", "), ".");
}

GeluForm TransformersConfig::gelu(const std::string& key) const {
  const std::string name = text(key, "gelu");
  if (name == "gelu") return GeluForm::kExact;
  if (name == "gelu_new" || name == "gelu_pytorch_tanh") return GeluForm::kTanh;
  fail(key, ": got '", printable(name), "', expected 'gelu', 'gelu_new' or 'gelu_pytorch_tanh'.");
}

std::int64_t TransformersConfig::classes() const {
  return static_cast<std::int64_t>(transformers_labels(*this).size());
}

void TransformersConfig::expect_integer(const std::string& key, std::int64_t only) const {
  if (const std::int64_t value = integer(key, only); value != only)
    fail(key, ": got ", value, ", expected ", only, ".");
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
