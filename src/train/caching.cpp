#include "train/caching.h"

#include <algorithm>
#include <filesystem>

#include "engine/tensor_type.h"

namespace fs = std::filesystem;

namespace lorikeet {

CacheBudget cache_budget(const Recipe& recipe) {
  constexpr double kGib = 1ULL << 30;
  CacheBudget budget{recipe.machine.cache_gib * kGib, 0};
  std::error_code missing;
  const fs::space_info space = fs::space(recipe.run, missing);
  if (!missing) budget.disk = std::min(recipe.machine.cache_disk_gib * kGib, static_cast<double>(space.available) / 2);
  return budget;
}

ImageCost image_cost(const Recipe& recipe, const Preprocessing& preprocessing) {
  return {preprocessing.crop, preprocessing.crop, activation_bytes(recipe.machine.precision)};
}

Plan plan_training(const Network& network, const Recipe& recipe, const Preprocessing& preprocessing,
                   std::int64_t train_images, std::int64_t validation_images) {
  const Plan plan = make_plan(network);
  const std::int64_t views = view_count(recipe.data);
  std::int64_t images = validation_images;
  if (recipe.loop.epochs > views) images += views * train_images;
  if (recipe.loop.epochs < 2 || images == 0 || preprocessing.crop == 0) return plan;
  const CacheBudget budget = cache_budget(recipe);
  const double limit = std::max(budget.memory, budget.disk) / static_cast<double>(images);
  return cut_prefix(plan, network.graph(), image_cost(recipe, preprocessing), static_cast<std::uint64_t>(limit));
}

}  // namespace lorikeet
