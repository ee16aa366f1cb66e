// Runs a training from start to end. train/session.h runs it step by step.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/json.h"
#include "data/dataset.h"
#include "engine/executor.h"
#include "engine/network.h"
#include "lorikeet/progress.h"
#include "lorikeet/train.h"
#include "lorikeet/training_options.h"
#include "train/evaluate.h"

namespace lorikeet {

struct LoopHooks {
  TrainCallback progress;
  /// Receives one object per step and per epoch.
  std::function<void(const Json&)> metrics = [](const Json&) {};
  std::function<void(const std::string&)> log = [](const std::string&) {};
  /// Called after each epoch with its figures and the line for the log. Empty: `log` receives the line.
  std::function<void(const EpochProgress&, const std::string&)> epoch = {};
  /// Called every loop.checkpoint_seconds and after each epoch, to save the network's adapter.
  std::function<void()> checkpoint = [] {};
};

struct LoopData {
  /// Images as read: training preprocesses both and augments `train` as the recipe specifies. `validation` may be null.
  std::shared_ptr<const Dataset> train;
  std::shared_ptr<const Dataset> validation;
  Preprocessing preprocessing;
};

/// The outputs of a network's prefix for the images of a split, "train" or "validation", in batches of a size.
struct CachedSplit {
  const Graph& graph;
  const Plan& plan;
  std::string split;
  std::int64_t images = 0;
  std::int64_t batch_size = 0;
};
using OpenCache = std::function<std::unique_ptr<PrefixCache>(const CachedSplit&)>;

/// Trains `network` with `executor`, which runs it. Throws Error if the loss is not finite.
TrainReport run_training(Network& network, Executor& executor, const LoopData& data, const TrainingOptions& options,
                         const LoopHooks& hooks);

}  // namespace lorikeet
