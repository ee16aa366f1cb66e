// Continues a run from its last checkpoint (train/checkpoint.h).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/network.h"
#include "engine/plan.h"
#include "image/preprocessing.h"
#include "train/recipe.h"
#include "train/training_state.h"

namespace lorikeet {

/// Returns the keys of a recipe whose values may change when a run continues.
const std::vector<std::string>& resumable_keys();

/// Throws UsageError if `now` differs from `before`, the recipe of the run so far, in another key.
void require_resumable(const Recipe& before, const Recipe& now);

struct ContinuedRun {
  const Recipe& before;
  const Recipe& now;
  const Network& network;
  const Preprocessing& preprocessing;
  /// Images per epoch.
  std::int64_t train_images = 0;
};

/// Adapts the state to what has changed in the recipe: the length of the run, early stopping, the learning rate,
/// threads and caches. A run that was extended continues in the middle of an epoch that max_steps had cut short. Throws
/// Error if the state's plan does not belong to the network.
void adapt_state(TrainingState& state, const ContinuedRun& run);

}  // namespace lorikeet
