// What a user names as a base model: a model of the table, a folder that transformers or timm saved, or a model of the
// Hub. Its files are read and checked here, but for the weights.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "io/named_tensors.h"
#include "lorikeet/progress.h"
#include "models/models.h"

namespace lorikeet {

struct BaseSource {
  /// Of a folder, made from its config.json; its name is what an adapter records as its base:
  /// "google/vit-base-patch16", or the folder's name.
  std::shared_ptr<const ModelEntry> entry;
  /// With as many outputs as config.json says.
  Graph graph;
  Preprocessing preprocessing;
  /// Names of the outputs; empty where the files have none.
  std::vector<std::string> classes;
  /// Files of weights; empty for a model of the table.
  std::vector<std::filesystem::path> weights;
  /// What an adapter records as its base weights: "resnet50.v1", "google/vit-base-patch16@COMMIT", or the folder's
  /// name.
  std::string weights_name;
  /// The folder, absolute; empty for models of the table and of the Hub.
  std::filesystem::path folder;
  /// What was replaced or left out, one line each, for people.
  std::vector<std::string> notes;

  bool is_of_table() const { return weights_name.empty(); }
};

/// Whether find_base would look for `name` outside of the table: in a folder, or in the Hub.
bool is_folder_or_hub_model(const std::string& name);

/// `name` is one of the table, the path of a folder, or ORG/NAME of the Hub, in this order. `with_weights`: also finds,
/// and downloads, the weights of the latter two. A model of the table whose official weights are in the Hub
/// (ModelEntry::hub) is then that model of the Hub.
BaseSource find_base(const std::string& name, const DownloadCallback& progress, bool with_weights = true);

/// `file` with the name of the network inside before its tensors, "vit." or "dinov2.", where transformers saved that
/// network without the classifier around it; as it is otherwise.
NamedTensors with_network_name(NamedTensors file, const Graph& graph);

/// The tensors of the files together. Throws Error where two have one of the same name.
NamedTensors read_weights(const std::vector<std::filesystem::path>& files);

}  // namespace lorikeet
