// The batches of one epoch as inputs of a training step, which starts at the plan's frontier.
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

/// One batch.
struct StepInput {
  /// Activations at the plan's frontier.
  Frontier frontier;
  /// int64 (N,). Of mixed images: the label with the larger weight.
  at::Tensor labels;
  /// float32 (N, classes): the shares of the classes in mixed images. Undefined if images are not mixed.
  at::Tensor shares = {};
};

/// Where an epoch begins or continues.
struct EpochStart {
  /// From 0.
  std::int64_t epoch = 0;
  /// Of the complete epoch.
  std::vector<std::int64_t> order;
  std::int64_t first_batch = 0;
  /// Whether the cache was complete when the epoch began. One that is completed within an epoch, which happens where an
  /// epoch has some images twice, is read from the next epoch on: also by a run that continues in the middle.
  bool reads_cache = false;
};

/// Reads batches and runs them through the frozen prefix, or takes its outputs from the cache. The cache has one row
/// per image and view, ordered by view.
class EpochSource {
 public:
  /// `cache` may be null, and is filled unless it is read. Of a shared one, the batches up to the first that it does
  /// not have are read. The other arguments must outlive the object.
  EpochSource(Executor& executor, const LoopData& data, const TrainingOptions& options, PrefixCache* cache,
              EpochStart start);

  /// Returns false at the end of the epoch. Adds the time spent waiting for images to `wait_seconds`.
  bool next(StepInput& input, double& wait_seconds);

 private:
  bool next_cached(StepInput& input);
  // The rows in the cache of the batch that begins at `position` in order_.
  at::Tensor rows_at(std::int64_t position);

  Executor& executor_;
  const LoopData& data_;
  at::Device device_;
  PrefixCache* cache_;
  std::int64_t batch_size_;
  std::vector<std::int64_t> order_;  // the remaining images
  std::uint64_t mixing_seed_;
  Augmentation augmentation_;
  std::int64_t batch_;  // of the epoch, the next one
  std::int64_t first_row_ = 0;
  std::int64_t position_ = 0;
  std::int64_t cached_ = 0;  // images at the start of order_ that are read from the cache
  std::optional<Loader> loader_;
};

}  // namespace lorikeet
