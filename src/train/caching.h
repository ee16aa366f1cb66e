// Whether and where a training run keeps the frozen prefix's outputs (engine/prefix_cache.h), and how that changes
// its plan.
#pragma once

#include "data/dataset.h"
#include "engine/network.h"
#include "engine/plan.h"
#include "image/preprocessing.h"
#include "lorikeet/training_options.h"

namespace lorikeet {

/// Bytes that may be used.
struct CacheBudget {
  double memory = 0;
  /// In a file in machine.cache_folder: the limit set there, or half of what is free where that is less.
  double disk = 0;
};

CacheBudget cache_budget(const MachineOptions& machine);

/// Whether a split's outputs of the frozen prefix are kept, and where.
enum class CachePlace { kNone, kMemory, kDisk };

struct RunLength {
  std::int64_t steps_per_epoch = 0;
  std::int64_t total_steps = 0;
};

/// Of a run whose epochs show `images` images each.
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
  /// Bytes of those that are kept in memory.
  std::uint64_t memory = 0;
};

/// Caches what a later epoch reads again, if all images have one size and it fits into the memory or the file that the
/// options allow: first the training images, then those of validation.
CacheChoice choose_caches(const CachedRun& run);

/// Rows of the cache of the training images: one for each image and view.
std::int64_t cached_rows(const DataOptions& data, std::int64_t train_images);

/// What one image costs. REQUIRES: all images have one size.
ImageCost image_cost(const MachineOptions& machine, const Preprocessing& preprocessing);

/// The network's plan, its prefix cut where the cache needs that: for all views of the training images, and those of
/// validation.
Plan plan_training(const Network& network, const TrainingOptions& options, const Preprocessing& preprocessing,
                   std::int64_t train_images, std::int64_t validation_images);

}  // namespace lorikeet
