// Training from a recipe: one recipe in, one run folder out.
//
//   recipe.yaml     the recipe with every choice written down; `lorikeet train RUN/recipe.yaml` repeats the run
//   metrics.jsonl   one JSON object a step and one an epoch
//   summary.json    what summary_json gives
//   log.txt         what was printed
//   adapter/        the adapter; replaced whole at every checkpoint
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

#include "base/json.h"
#include "fetch/download.h"
#include "train/evaluate.h"
#include "train/loop.h"
#include "train/recipe.h"

namespace lorikeet {

struct TrainSummary {
  bool interrupted = false;
  std::int64_t trainable_parameters = 0;
  std::int64_t total_parameters = 0;
  std::uint64_t adapter_bytes = 0;         // adapter_model.safetensors, what PEFT would write
  std::uint64_t adapter_folder_bytes = 0;  // with head and configuration
  std::uint64_t whole_model_bytes = 0;     // what saving the whole adapted model in float32 would take
  TrainReport loop;
  /// The final evaluation: of the test split where there is one, else of validation; total 0 where there is neither, or
  /// where training was interrupted.
  EvaluationResult test;
  std::filesystem::path adapter;
};

/// Runs the recipe into recipe.run. Throws UsageError where that folder holds a run already and `replace` is false, or
/// another process trains in it; then, and wherever the recipe does not fit its model or its data, nothing on disk is
/// touched. A run that is replaced stays until the new one has a checkpoint. A run that fails before its first
/// checkpoint is removed.
TrainSummary train(const Recipe& requested, const TrainCallbacks& callbacks, bool replace = false);

Json summary_json(const TrainSummary& summary, const Recipe& recipe);

}  // namespace lorikeet
