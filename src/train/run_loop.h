// The training of a run with checkpoints: continues from one, saves new ones, and goes back to the last one, once, if
// training diverges.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <optional>

#include "engine/executor.h"
#include "engine/network.h"
#include "train/checkpoint.h"
#include "train/loop.h"
#include "train/run_folder.h"

namespace lorikeet {

struct RunLoop {
  Network& network;
  Executor& executor;
  const LoopData& data;
  const TrainingOptions& options;
  RunFolder& run;
  /// Gives the network the values with which the run starts.
  std::function<void()> start_over;
  /// Writes the network's adapter to the folder, atomically.
  RunFolder::Write write_adapter;
  /// Returns what a checkpoint records besides the state and the length of the metrics.
  std::function<Checkpoint()> identity;
  /// With LoopOptions::seconds: when the run began, and the number of images of the evaluation after training.
  std::chrono::steady_clock::time_point started = std::chrono::steady_clock::now();
  std::int64_t test_images = 0;
  /// As SessionOptions::open_cache.
  OpenCache open_cache = {};
  TrainCallback progress;
  /// As LoopHooks::epoch.
  std::function<void(const EpochProgress&, const std::string&)> epoch;
  LogCallback log;
  /// Called after each checkpoint, and when metrics.jsonl was shortened.
  std::function<void()> metrics_changed = [] {};
};

/// Trains to the end, from the state of `from` if there is one. After a divergence it continues from the last
/// checkpoint, or from the start, with a tenth of the learning rate. Throws DivergedError if that happens again.
TrainReport run_with_checkpoints(const RunLoop& loop, const std::optional<Checkpoint>& from);

}  // namespace lorikeet
