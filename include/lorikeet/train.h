// The training report, and training from a recipe file into a run folder (the equivalent of `lorikeet train`).
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
  /// A callback stopped training. The adapter has the state reached at that point.
  bool interrupted = false;
  std::int64_t steps = 0;
  /// Completed epochs.
  std::int64_t epochs = 0;
  /// The epoch whose adapter was kept (LoopOptions::best), from 1.
  std::int64_t kept_epoch = 0;
  std::int64_t images = 0;
  /// Time of training steps and validation.
  double seconds = 0;
  /// The part of `seconds` spent waiting for images.
  double data_wait_seconds = 0;
  // Means over the training images of the last epoch.
  double loss = 0;
  double accuracy = 0;
  /// Validation result of the epoch that was kept; its total is 0 without validation.
  EvaluationResult validation;
  /// Whether outputs of the frozen prefix were cached.
  bool cached_prefix = false;

  double images_per_second() const { return seconds > 0 ? static_cast<double>(images) / seconds : 0; }
};

struct TrainCallbacks {
  TrainCallback progress = {};
  LogCallback log = {};
  /// Called after every epoch. If empty, `log` receives a line for each epoch.
  EpochCallback epoch = {};
  DownloadCallback download = {};
};

struct RunRequest {
  /// YAML; `lorikeet train --help` lists the keys.
  std::filesystem::path recipe;
  /// "key=value"; run=FOLDER sets the run folder.
  std::vector<std::string> overrides = {};
  /// Replace an existing run in the folder.
  bool replace = false;
  TrainCallbacks callbacks = {};
};

struct RunReport {
  TrainReport training;
  /// On the test split, or on the validation images if there is none. Its total is 0 if there are neither or training
  /// was interrupted.
  EvaluationResult test;
  std::int64_t trainable_parameters = 0;
  std::int64_t total_parameters = 0;
  std::filesystem::path run;
  std::filesystem::path adapter;
  /// Content of the run's summary.json.
  std::string summary;
};

/// Throws UsageError if the folder already holds a run and `replace` is false. Not thread-safe: the recipe's thread
/// count applies to the process while training runs.
LORIKEET_EXPORT RunReport train_recipe(const RunRequest& request);

}  // namespace lorikeet
