// Training from a recipe file into a run's folder: what `lorikeet train` does.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "lorikeet/error.h"
#include "lorikeet/progress.h"

namespace lorikeet {

struct TrainRequest {
  /// YAML; `lorikeet train --help` lists the keys.
  std::filesystem::path recipe;
  /// "key=value"; run=FOLDER names the run's folder.
  std::vector<std::string> overrides = {};
  /// Replace a run that is in the folder already.
  bool replace = false;
  TrainCallback progress = {};
  /// A line for people.
  std::function<void(const std::string&)> log = {};
  DownloadCallback download = {};
};

struct TrainReport {
  /// By `progress`; the adapter is what there was then.
  bool interrupted = false;
  std::filesystem::path run;
  std::filesystem::path adapter;
  /// The content of the run's summary.json.
  std::string summary;
};

LORIKEET_EXPORT TrainReport train_recipe(const TrainRequest& request);

}  // namespace lorikeet
