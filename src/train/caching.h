// Whether and where a training run keeps the frozen prefix's outputs (engine/prefix_cache.h), and what that makes of
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

/// What one image costs. REQUIRES: all images have one size.
ImageCost image_cost(const MachineOptions& machine, const Preprocessing& preprocessing);

/// The network's plan, its prefix cut where the cache needs that: for all views of the training images, and those of
/// validation.
Plan plan_training(const Network& network, const TrainingOptions& options, const Preprocessing& preprocessing,
                   std::int64_t train_images, std::int64_t validation_images);

}  // namespace lorikeet
