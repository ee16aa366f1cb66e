// Whether and where a training run keeps the frozen prefix's outputs (engine/prefix_cache.h), and what that makes of
// its plan.
#pragma once

#include "data/dataset.h"
#include "engine/network.h"
#include "engine/plan.h"
#include "image/preprocessing.h"
#include "train/recipe.h"

namespace lorikeet {

/// Bytes that may be used.
struct CacheBudget {
  double memory = 0;
  /// In a file in the run's folder: the recipe's limit, or half of what is free there where that is less.
  double disk = 0;
};

CacheBudget cache_budget(const Recipe& recipe);

/// What one image of the recipe costs. REQUIRES: all images have one size.
ImageCost image_cost(const Recipe& recipe, const Preprocessing& preprocessing);

/// The network's plan, its prefix cut where the cache needs that: for all views of the training images, and those of
/// validation.
Plan plan_training(const Network& network, const Recipe& recipe, const Preprocessing& preprocessing,
                   std::int64_t train_images, std::int64_t validation_images);

}  // namespace lorikeet
