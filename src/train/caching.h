// Decides whether and where a training run caches the frozen prefix's outputs (engine/prefix_cache.h), and adapts its
// plan.
#pragma once

#include "data/dataset.h"
#include "engine/network.h"
#include "engine/plan.h"
#include "image/preprocessing.h"
#include "lorikeet/training_options.h"

namespace lorikeet {

/// Limits in bytes.
struct CacheBudget {
  double memory = 0;
  /// In a file in machine.cache_folder: the configured limit, or half of the free space if that is less.
  double disk = 0;
};

CacheBudget cache_budget(const MachineOptions& machine);

/// Where the prefix outputs of a split are cached.
enum class CachePlace { kNone, kMemory, kDisk };

struct RunLength {
  std::int64_t steps_per_epoch = 0;
  std::int64_t total_steps = 0;
};

/// Whether a run keeps a copy of its best epoch's adapter.
bool keeps_best_epoch(const TrainingOptions& options, bool validates);

/// The length of a run with `images` images per epoch.
RunLength run_length(const LoopOptions& loop, std::int64_t images);

struct CachedRun {
  const Plan& plan;
  const Graph& graph;
  const TrainingOptions& options;
  const Preprocessing& preprocessing;
  std::int64_t train_images = 0;
  /// 0: no validation.
  std::int64_t validation_images = 0;
  RunLength length = {};
};

struct CacheChoice {
  CachePlace train = CachePlace::kNone;
  CachePlace validation = CachePlace::kNone;
  /// Bytes of the caches in memory.
  std::uint64_t memory = 0;
};

/// Caches prefix outputs that a later epoch reuses, if all images have one size and the outputs fit the limits. The
/// training images take precedence over the validation images.
CacheChoice choose_caches(const CachedRun& run);

/// Rows of the training images' cache: one for each image and view.
std::int64_t cached_rows(const DataOptions& data, std::int64_t train_images);

/// Returns the cost of one image. REQUIRES: all images have one size.
ImageCost image_cost(const MachineOptions& machine, const Preprocessing& preprocessing);

/// Returns the network's plan, with the prefix shortened if the cache requires it, for all views of the training images
/// and for the validation images.
Plan plan_training(const Network& network, const TrainingOptions& options, const Preprocessing& preprocessing,
                   std::int64_t train_images, std::int64_t validation_images);

}  // namespace lorikeet
