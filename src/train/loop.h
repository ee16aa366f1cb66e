// One training run over a network from its start to its end. train/session.h runs it step by step.
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
  /// One object for each step and each epoch.
  std::function<void(const Json&)> metrics = [](const Json&) {};
  std::function<void(const std::string&)> log = [](const std::string&) {};
  /// About every minute and after each epoch: the network's adapter is worth keeping.
  std::function<void()> checkpoint = [] {};
};

struct LoopData {
  /// As they were read: the loop prepares both, and augments `train` as the recipe says. `validation` may be null.
  std::shared_ptr<const Dataset> train;
  std::shared_ptr<const Dataset> validation;
  Preprocessing preprocessing;
};

/// Trains `network` through `executor`, which runs it. Throws Error where the loss is not finite.
TrainReport run_training(Network& network, Executor& executor, const LoopData& data, const TrainingOptions& options,
                         const LoopHooks& hooks);

}  // namespace lorikeet
