// The report of a training, and training from a recipe file into a run's folder, as `lorikeet train` does it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "lorikeet/error.h"
#include "lorikeet/evaluation.h"
#include "lorikeet/export.h"
#include "lorikeet/progress.h"

namespace lorikeet {

struct TrainReport {
  /// A callback stopped it. The adapter is in the state of that moment.
  bool interrupted = false;
  std::int64_t steps = 0;
  /// Completed epochs.
  std::int64_t epochs = 0;
  std::int64_t images = 0;
  /// Steps and validation.
  double seconds = 0;
  /// Of these, waiting for images.
  double data_wait_seconds = 0;
  // Means over the images of the last epoch, taken while it ran.
  double loss = 0;
  double accuracy = 0;
  /// Of the epoch that was kept; total 0 without validation.
  EvaluationResult validation;
  /// Whether outputs of the frozen prefix were cached.
  bool cached_prefix = false;

  double images_per_second() const { return seconds > 0 ? static_cast<double>(images) / seconds : 0; }
};

struct TrainCallbacks {
  TrainCallback progress = {};
  LogCallback log = {};
  DownloadCallback download = {};
};

struct RunRequest {
  /// YAML; `lorikeet train --help` lists the keys.
  std::filesystem::path recipe;
  /// "key=value"; run=FOLDER names the run's folder.
  std::vector<std::string> overrides = {};
  /// Replace a run that is in the folder already.
  bool replace = false;
  TrainCallbacks callbacks = {};
};

struct RunReport {
  TrainReport training;
  /// Of the test split, else of the validation images; total 0 where there are neither or training was interrupted.
  EvaluationResult test;
  std::int64_t trainable_parameters = 0;
  std::int64_t total_parameters = 0;
  std::filesystem::path run;
  std::filesystem::path adapter;
  /// The content of the run's summary.json.
  std::string summary;
};

/// Throws UsageError where the folder holds a run already and `replace` is false. For one thread at a time: a recipe's
/// number of threads is set for the process while it runs.
LORIKEET_EXPORT RunReport train_recipe(const RunRequest& request);

}  // namespace lorikeet
