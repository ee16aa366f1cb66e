#include "train/resume.h"

#include <ATen/Parallel.h>

#include <algorithm>

#include "base/error.h"
#include "base/text.h"
#include "engine/threads.h"
#include "train/caching.h"

namespace lorikeet {

const std::vector<std::string>& resumable_keys() {
  static const std::vector<std::string> kKeys{"epochs",
                                              "max_steps",
                                              "time",
                                              "early_stop",
                                              "learning_rate",
                                              "clip_grad_norm",
                                              "data",
                                              "weights",
                                              "threads",
                                              "loader_threads",
                                              "cache_gib",
                                              "cache_disk_gib",
                                              "checkpoint_seconds",
                                              "test_limit",
                                              "file_precision",
                                              "reference"};
  return kKeys;
}

void require_resumable(const Recipe& before, const Recipe& now) {
  const auto old_values = recipe_values(before);
  const auto new_values = recipe_values(now);
  const auto& keys = resumable_keys();
  for (std::size_t i = 0; i < new_values.size(); ++i) {
    const auto& [key, value] = new_values[i];
    if (value == old_values[i].second || std::find(keys.begin(), keys.end(), key) != keys.end()) continue;
    fail_usage(key, ": got ", printable(value), ", expected ", printable(old_values[i].second),
               ", as in the run so far. --resume can change ", join(keys, ", "),
               "; for anything else train a new run with start_from.");
  }
}

void adapt_state(TrainingState& state, const ContinuedRun& run) {
  const Recipe& now = run.now;
  if (!is_cut_of(state.plan, make_plan(run.network), run.network.graph()))
    fail("training state: got another plan than the network's, expected one of its cuts.");
  const RunLength length = run_length(now.loop, run.train_images);
  // With `time`, the session plans the length.
  const bool is_longer =
      now.loop.seconds > 0 ? now.loop.seconds != run.before.loop.seconds : state.total_steps != length.total_steps;
  if (is_longer && state.step > length.total_steps) {
    fail_usage("epochs: got ", now.loop.epochs, ", which are ", counted(length.total_steps, "step"),
               ", expected at least the ", state.step, " that the run has made.");
  }
  if (is_longer) state.total_steps = length.total_steps;
  if (is_longer && state.batch == 0 && state.step < length.total_steps) {
    state.epoch = state.step / length.steps_per_epoch;
    state.batch = state.step % length.steps_per_epoch;
  }
  if (keeps_best_epoch(now, state.validation_images > 0) && state.best.empty() && state.best_epoch > 0) {
    // A run of one epoch, which kept no copy.
    for (const auto& [name, tensor] : run.network.adapter_tensors()) {
      if (const at::Tensor* last = state.network.find(name)) state.best.add(name, last->clone());
    }
  }
  state.stopped_early = now.loop.early_stop > 0 && state.epochs_without_gain >= now.loop.early_stop;
  if (now.optimizer.learning_rate != run.before.optimizer.learning_rate) state.rate_factor = 1;
  if (now.machine.threads != run.before.machine.threads) {
    const ThreadCount threads(now.machine.threads);
    state.threads = at::get_num_threads();
  }
  if (is_longer || now.machine.cache_gib != run.before.machine.cache_gib ||
      now.machine.cache_disk_gib != run.before.machine.cache_disk_gib) {
    TrainingOptions options = now;
    options.machine.cache_folder = now.run;
    const CacheChoice caches = choose_caches({state.plan, run.network.graph(), options, run.preprocessing,
                                              run.train_images, state.validation_images, length});
    state.train_cache = caches.train;
    state.validation_cache = caches.validation;
  }
}

}  // namespace lorikeet
