#include "models/models.h"

#include <algorithm>
#include <cctype>
#include <iterator>

#include "base/error.h"
#include "base/text.h"
#include "models/convnext.h"
#include "models/densenet.h"
#include "models/efficientnet_lite.h"
#include "models/inverted_residual.h"
#include "models/mobilevit.h"
#include "models/regnet.h"
#include "models/resnet.h"
#include "models/swin.h"
#include "models/timm_weights.h"
#include "models/vit.h"

namespace lorikeet {
namespace {

using Family = std::vector<ModelEntry> (*)();

// The first family that has a name keeps it.
const std::vector<Family> kFamilies{resnet_models, efficientnet_lite_models, efficientnet_models, mobilenet_models,
                                    regnet_models, densenet_models,          convnext_models,     vit_models,
                                    swin_models,   mobilevit_models};

// "ResNet (resnet18, resnet34 …), ViT (…)".
std::string known_models() {
  constexpr std::size_t kMost = 2;
  std::string out;
  const auto& all = models();
  for (std::size_t begin = 0; begin < all.size();) {
    std::vector<std::string> names;
    std::size_t end = begin;
    while (end < all.size() && all[end].family == all[begin].family) names.push_back(all[end++].name);
    out += cat(out.empty() ? "" : ", ", all[begin].family, " (", join_first(names, kMost), ")");
    begin = end;
  }
  return out;
}

std::string digits_of(const std::string& name) {
  std::string out;
  std::copy_if(name.begin(), name.end(), std::back_inserter(out), [](unsigned char c) { return std::isdigit(c) != 0; });
  return out;
}

// Lower case without punctuation: "ResNet-50" becomes "resnet50".
std::string plain_name(const std::string& name) {
  std::string out = lowercase(name);
  std::erase_if(out, [](unsigned char c) { return std::isalnum(c) == 0; });
  return out;
}

// Returns the model meant by a misspelt name; "" if it may be another network's name, such as resnest50.
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
      const bool is_bare = digits.empty() && edits > 1;  // "resnet" is ambiguous
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
    names.push_back(model.name);
    for (const auto& weights : model.weights) {
      if (weights.name != model.name) names.push_back(weights.name);
    }
  }
  return names;
}

const ModelEntry* entry_named(const std::string& name) {
  for (const auto& model : models()) {
    if (model.name == name || std::find(model.aliases.begin(), model.aliases.end(), name) != model.aliases.end())
      return &model;
    for (const auto& weights : model.weights) {
      if (weights.name == name) return &model;
    }
  }
  return nullptr;
}

// Whether `library` gives the modules of the entry the names that the entry has.
bool has_names_of(const ModelEntry& entry, Library library) {
  if (entry.library == library) return true;
  const auto& tables = entry.names.tables;
  const auto other = tables.find(library);
  return other != tables.end() && other->second.empty() && tables.at(entry.library).empty();
}

}  // namespace

const std::vector<ModelEntry>& models() {
  static const std::vector<ModelEntry> kModels = [] {
    std::vector<ModelEntry> all;
    for (const Family family : kFamilies) {
      for (ModelEntry& entry : family()) {
        if (entry.library == Library::kTimm && entry.weights.empty()) entry.hub = timm_weights(entry.name);
        all.push_back(std::move(entry));
      }
    }
    return all;
  }();
  return kModels;
}

const ModelEntry& find_model(const std::string& name) {
  if (const ModelEntry* found = entry_named(name)) return *found;
  // "torchvision/resnet50", "timm/resnet50" and "timm/vit_tiny_patch16_224" name a library of an entry without that
  // prefix.
  for (const Library library : {Library::kTorchvision, Library::kTimm}) {
    const std::string prefix = library_name(library) + "/";
    if (!name.starts_with(prefix)) continue;
    const ModelEntry* found = entry_named(name.substr(prefix.size()));
    if (found != nullptr && has_names_of(*found, library)) return *found;
  }
  const std::string meant = misspelt_model(name, all_names());
  fail_usage("model: got '", printable(name), "', which is not known.",
             meant.empty() ? "" : cat(" Did you mean '", meant, "'?"), " Known families: ", known_models(),
             ". 'lorikeet models list' shows all.");
}

const WeightsEntry& find_weights(const std::string& name) {
  const ModelEntry& model = find_model(name);
  for (const auto& weights : model.weights) {
    if (weights.name == name) return weights;
  }
  if (model.weights.empty())
    fail_usage("model: got ", model.name, ", of which no official weights are listed. Name a file with --weights.");
  return model.weights.front();
}

bool has_weights(const std::string& name) { return is_model_name(name) && !find_model(name).weights.empty(); }

const Preprocessing& default_preprocessing(const std::string& name) {
  const ModelEntry& model = find_model(name);
  for (const auto& weights : model.weights) {
    if (weights.name == name) return weights.preprocessing;
  }
  return model.preprocessing;
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
