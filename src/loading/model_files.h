// The files of a model as transformers and timm save it in a folder and the Hub serves it:
//
//   config.json                    what the network is
//   preprocessor_config.json       what happens to images before it; timm has that in config.json
//   model.safetensors              the weights, or
//   model.safetensors.index.json   the names of several files that hold them, or
//   pytorch_model.bin              the same of torch.save, or
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
  /// The first kind that is there, in the order above; several files where there is an index.
  std::vector<std::filesystem::path> weights;
};

/// Whether `path` is a folder with a config.json and without an adapter.
bool is_model_folder(const std::filesystem::path& path);

/// Throws Error where one is missing, and where a link or an index leads out of the folder (links of a snapshot into
/// its own cache's blobs are allowed). Without `with_weights` the weights are not looked for.
ModelFiles find_model_files(const std::filesystem::path& folder, bool with_weights = true);

/// The same files of a repository of the Hub, downloaded where they are not in the cache.
ModelFiles fetch_model_files(HubRepository& repository, bool with_weights = true);

}  // namespace lorikeet
