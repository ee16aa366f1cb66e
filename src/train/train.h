// Trains from a recipe into a run folder:
//
//   recipe.yaml     the complete recipe, defaults included; `lorikeet train RUN/recipe.yaml` repeats the run
//   metrics.jsonl   one JSON object per step and per epoch
//   summary.json    the result of summary_json
//   steps.csv, epochs.csv, events.out.tfevents.lorikeet    the same metrics as CSV and for TensorBoard
//   report.html     curves, metrics, mistakes, network and choices (report/run_report.h)
//   log.txt         the printed messages
//   checkpoints/    the last two states (train/checkpoint.h), from which `lorikeet train --resume RUN` continues
//   adapter/        the adapter; replaced atomically at every checkpoint
//   adapter.lorikeet    the adapter in one file (adapters/adapter_file.h), written at the end
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "adapters/adapter_folder.h"
#include "base/json.h"
#include "engine/network.h"
#include "fetch/download.h"
#include "loading/loaded_model.h"
#include "train/evaluate.h"
#include "train/loop.h"
#include "train/recipe.h"
#include "train/training_data.h"

namespace lorikeet {

struct TrainSummary {
  /// As it was run: complete, with the run folder.
  Recipe recipe;
  bool interrupted = false;
  std::int64_t trainable_parameters = 0;
  std::int64_t total_parameters = 0;
  std::uint64_t adapter_bytes = 0;         // adapter_model.safetensors, as PEFT writes it
  std::uint64_t adapter_folder_bytes = 0;  // with head and configuration
  std::uint64_t adapter_file_bytes = 0;    // adapter.lorikeet
  std::uint64_t whole_model_bytes = 0;     // size of the complete adapted model in float32
  TrainReport loop;
  std::vector<std::string> classes;
  /// Final evaluation on the test split, or on the validation images if there is none. Its total is 0 if there are
  /// neither or training was interrupted.
  EvaluationResult test;
  /// The same of adapter.lorikeet as it is read back, if its precision is not float32; else its total is 0.
  EvaluationResult file_test;
  /// "test" or "validation": the split of `test`.
  std::string test_split;
  std::filesystem::path adapter;
};

/// Runs the recipe into recipe.run. Throws UsageError if that folder holds a run and `replace` is false, or if another
/// process trains in it. In these cases, and if the recipe does not fit its model or data, no file is changed. A
/// replaced run stays until the new one has a checkpoint. A run that fails before its first checkpoint is removed.
TrainSummary train(const Recipe& requested, const TrainCallbacks& callbacks, bool replace = false);

/// A run at its end, before its summary is written. `network` must have the same values afterwards.
struct TrainedRun {
  Network& network;
  const Adaptation& adaptation;
  /// As it is saved.
  const AdapterFolder& folder;
  const BaseModel& base;
  const LoopData& data;
};

/// What is known when a run begins.
struct RunStart {
  bool replace = false;
  /// Logged first, and shown in the report.
  std::vector<std::string> notes = {};
  /// Opened and checked already, for the same keys of data.
  std::optional<CheckedData> data = {};
  /// Loaded already, for the same model and weights; null: not yet.
  std::shared_ptr<const BaseModel> base = nullptr;
  /// As SessionOptions::open_cache.
  OpenCache open_cache = {};
  /// Called when training is complete, instead of the final evaluation.
  std::function<void(const TrainedRun&)> trained = {};
  /// The command that continues after a failure, if it is not lorikeet train --resume RUN.
  std::string resume_command = {};
};
TrainSummary train(const Recipe& requested, const TrainCallbacks& callbacks, RunStart start);

/// Continues the run in the folder `run` from its last checkpoint, or from the start if it has none. `overrides`
/// ("key=value") may change resumable_keys(). Throws UsageError if there is no run, another process trains in it or
/// another key changes, and Error if the base or the training images are not those of the run. `start.replace` is not
/// used.
TrainSummary resume(const std::filesystem::path& run, const std::vector<std::string>& overrides,
                    const TrainCallbacks& callbacks, RunStart start = {});

Json summary_json(const TrainSummary& summary, const Recipe& recipe);

}  // namespace lorikeet
