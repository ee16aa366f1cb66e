// The batches of one epoch, where a training step starts: at the plan's frontier.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "data/loader.h"
#include "engine/executor.h"
#include "engine/prefix_cache.h"
#include "lorikeet/training_options.h"
#include "train/loop.h"

namespace lorikeet {

/// One batch: the frontier of the plan, and what should come out. labels int64 (N,).
struct StepInput {
  Frontier frontier;
  at::Tensor labels;
};

/// Batches are read and run through the frozen prefix, or taken from the cache of it. The cache has a row for each
/// image of each view, view after view.
class EpochSource {
 public:
  /// Epoch `epoch` (from 0) from batch `first_batch` on; `order` is that of the complete epoch. `cache` may be null; it
  /// is filled. The arguments must outlive the object.
  EpochSource(Executor& executor, const LoopData& data, const TrainingOptions& options, PrefixCache* cache,
              std::int64_t epoch, std::vector<std::int64_t> order, std::int64_t first_batch);

  /// False at the end. Adds the time spent waiting for images.
  bool next(StepInput& input, double& wait_seconds);

 private:
  bool next_cached(StepInput& input);

  Executor& executor_;
  const LoopData& data_;
  at::Device device_;
  PrefixCache* cache_;
  std::int64_t batch_size_;
  std::vector<std::int64_t> order_;  // what is left of it
  std::int64_t first_row_ = 0;
  std::int64_t position_ = 0;
  std::optional<Loader> loader_;
};

}  // namespace lorikeet
