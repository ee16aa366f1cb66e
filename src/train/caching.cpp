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
  fs::path folder = fs::absolute(machine.cache_folder);  // may not exist yet
  while (!fs::exists(folder, missing) && folder.has_relative_path()) folder = folder.parent_path();
  const fs::space_info space = fs::space(folder, missing);
  if (!missing) budget.disk = std::min(machine.cache_disk_gib * kGib, static_cast<double>(space.available) / 2);
  return budget;
}

ImageCost image_cost(const MachineOptions& machine, const Preprocessing& preprocessing) {
  return {preprocessing.crop, preprocessing.crop, activation_bytes(machine.precision),
          machine.engine == EngineKind::kPlain};
}

bool keeps_best_epoch(const TrainingOptions& options, bool validates) {
  return validates && options.loop.best != BestEpoch::kLast && options.loop.epochs > 1;
}

RunLength run_length(const LoopOptions& loop, std::int64_t images) {
  RunLength out;
  out.steps_per_epoch = (images + loop.batch_size - 1) / loop.batch_size;
  out.total_steps = loop.epochs * out.steps_per_epoch;
  if (loop.max_steps > 0) out.total_steps = std::min(out.total_steps, loop.max_steps);
  return out;
}

std::int64_t cached_rows(const DataOptions& data, std::int64_t train_images) { return view_count(data) * train_images; }

CacheChoice choose_caches(const CachedRun& run) {
  CacheChoice out;
  if (run.preprocessing.crop == 0) return out;
  CacheBudget left = cache_budget(run.options.machine);
  const std::uint64_t each = frontier_bytes(run.plan, run.graph, image_cost(run.options.machine, run.preprocessing));
  const auto place = [&](std::int64_t rows) {
    const std::uint64_t bytes = each * static_cast<std::uint64_t>(rows);
    const auto size = static_cast<double>(bytes);
    if (size <= left.memory) {
      left.memory -= size;
      out.memory += bytes;
      return CachePlace::kMemory;
    }
    if (size > left.disk) return CachePlace::kNone;
    left.disk -= size;
    return CachePlace::kDisk;
  };
  const std::int64_t views = view_count(run.options.data);
  const auto& [steps_per_epoch, total_steps] = run.length;
  if (views > 0 && total_steps > views * steps_per_epoch)
    out.train = place(cached_rows(run.options.data, run.train_images));
  if (run.validation_images > 0 && total_steps > steps_per_epoch) out.validation = place(run.validation_images);
  return out;
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
