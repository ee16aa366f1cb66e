#include "train/caching.h"

#include <algorithm>
#include <filesystem>

#include "engine/tensor_type.h"
#include "train/recipe.h"

namespace fs = std::filesystem;

namespace lorikeet {

CacheBudget cache_budget(const MachineOptions& machine) {
  constexpr double kGib = 1ULL << 30;
  CacheBudget budget{machine.cache_gib * kGib, 0};
  if (machine.cache_folder.empty()) return budget;
  std::error_code missing;
  fs::path folder = fs::absolute(machine.cache_folder);  // which may not be there yet
  while (!fs::exists(folder, missing) && folder.has_relative_path()) folder = folder.parent_path();
  const fs::space_info space = fs::space(folder, missing);
  if (!missing) budget.disk = std::min(machine.cache_disk_gib * kGib, static_cast<double>(space.available) / 2);
  return budget;
}

ImageCost image_cost(const MachineOptions& machine, const Preprocessing& preprocessing) {
  return {preprocessing.crop, preprocessing.crop, activation_bytes(machine.precision)};
}

Plan plan_training(const Network& network, const TrainingOptions& options, const Preprocessing& preprocessing,
                   std::int64_t train_images, std::int64_t validation_images) {
  const Plan plan = make_plan(network);
  const std::int64_t views = view_count(options.data);
  std::int64_t images = validation_images;
  if (options.loop.epochs > views) images += views * train_images;
  if (options.loop.epochs < 2 || images == 0 || preprocessing.crop == 0) return plan;
  const CacheBudget budget = cache_budget(options.machine);
  const double limit = std::max(budget.memory, budget.disk) / static_cast<double>(images);
  return cut_prefix(plan, network.graph(), image_cost(options.machine, preprocessing),
                    static_cast<std::uint64_t>(limit));
}

}  // namespace lorikeet
