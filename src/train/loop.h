// The training loop over one network: order, batches, prefix cache, loss, optimiser, validation, early stop. It writes
// nothing; what it has to say goes through hooks.
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
#include "train/evaluate.h"
#include "train/recipe.h"

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
TrainReport run_training(Network& network, Executor& executor, const LoopData& data, const Recipe& recipe,
                         const LoopHooks& hooks);

}  // namespace lorikeet
