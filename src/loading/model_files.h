// The files of a model as saved by transformers and timm, in a folder or on the Hub:
//
//   config.json                    the network
//   preprocessor_config.json       the preprocessing of images; timm stores it in config.json
//   model.safetensors              the weights, or
//   model.safetensors.index.json   the names of several files with the weights, or
//   pytorch_model.bin              the same in torch.save format, or
//   pytorch_model.bin.index.json
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "fetch/hub.h"
#include "lorikeet/progress.h"

namespace lorikeet {

struct ModelFiles {
  std::filesystem::path folder;
  std::filesystem::path config;
  std::optional<std::filesystem::path> preprocessor;
  /// The first of the above that exists; several files if there is an index.
  std::vector<std::filesystem::path> weights;
};

/// Whether `path` is a folder with a config.json and without an adapter.
bool is_model_folder(const std::filesystem::path& path);

/// Throws Error if a file is missing, or a link or an index refers to a file outside the folder (a snapshot's links to
/// its own cache's blobs are allowed). Without `with_weights` the weights are not looked for.
ModelFiles find_model_files(const std::filesystem::path& folder, bool with_weights = true);

/// The same files of a Hub repository, downloaded unless cached.
ModelFiles fetch_model_files(HubRepository& repository, bool with_weights = true);

}  // namespace lorikeet
