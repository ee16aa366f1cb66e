#include <algorithm>
#include <utility>

#include "adapters/adapter_folder.h"
#include "api/boundary.h"
#include "api/model_state.h"
#include "base/error.h"
#include "base/text.h"
#include "data/dataset.h"
#include "data/datasets.h"
#include "engine/tensor_type.h"
#include "engine/threads.h"
#include "train/caching.h"
#include "train/footprint.h"
#include "train/loop.h"
#include "train/recipe.h"
#include "train/training_data.h"
#include "train/training_executor.h"

namespace lorikeet {
namespace {

// Calls `undo` on destruction, unless `done` was called.
template <typename Undo>
class Rollback {
 public:
  explicit Rollback(Undo undo) : undo_(std::move(undo)) {}
  ~Rollback() {
    if (!done_) undo_();
  }
  Rollback(const Rollback&) = delete;
  Rollback& operator=(const Rollback&) = delete;
  void done() { done_ = true; }

 private:
  Undo undo_;
  bool done_ = false;
};

// A recipe with only the training options set.
Recipe training_recipe(const TrainingOptions& options) {
  Recipe recipe;
  static_cast<TrainingOptions&>(recipe) = options;
  return resolved(std::move(recipe));
}

}  // namespace

TrainReport Model::train(const TrainingOptions& options, const TrainCallbacks& callbacks) {
  return at_boundary("train", [&] {
    LoadedModel& loaded = state().loaded;
    options.check();
    if (!loaded.adapter)
      fail_usage("train: got ", loaded.entry->name, " without an adapter, expected one. Call adapt first.");
    check_device(options.machine.device);
    const Recipe recipe = training_recipe(options);
    OpenOptions how = open_options(recipe.data);
    how.classes = loaded.classes;
    const Splits splits = open_dataset(recipe.data.name, guarded(callbacks.download), how);
    if (callbacks.log) std::for_each(splits.notes.begin(), splits.notes.end(), guarded(callbacks.log));
    Splits used = split_data(recipe, splits);
    used.test = nullptr;
    used.notes.clear();
    const Splits data = with_bad_images(recipe.data.bad_images, std::move(used), guarded(callbacks.progress));
    if (callbacks.log) std::for_each(data.notes.begin(), data.notes.end(), guarded(callbacks.log));
    if (data.train->classes() != loaded.classes) {
      fail_usage("data: got ", counted(data.train->classes().size(), "class"), " in ", recipe.data.name,
                 ", expected the model's ", loaded.classes.size(), ".");
    }
    const bool is_int8 = recipe.machine.precision == Precision::kInt8;
    if (is_int8) loaded.network.merged();  // throws if the adapter cannot be merged
    const Preprocessing preprocessing = data_preprocessing(recipe.data, loaded.preprocessing);

    Network& network = loaded.network;
    Rollback rollback([&, tensors = copied(network.adapter_tensors()), device = state().device] {
      state().executor.reset();
      for (auto& [name, tensor] : network.trainable()) tensor.mutable_grad().reset();
      network.to(tensor_device(device));
      network.load_adapter_tensors(tensors);
    });
    state().executor.reset();
    network.to(tensor_device(recipe.machine.device));
    const ThreadCount threads(recipe.machine.threads);

    const Plan plan = plan_training(network, recipe, preprocessing, data.train->size(),
                                    data.validation ? data.validation->size() : 0);
    require_memory({network, plan, recipe, preprocessing, data, memory_bytes(splits)});
    const LoopData loop_data{data.train, data.validation, preprocessing};
    const auto executor =
        make_training_executor(network, recipe.machine, {.plan = plan, .prepared = loaded.prepared}, loop_data);
    LoopHooks hooks{.progress = guarded(callbacks.progress)};
    if (callbacks.log) hooks.log = guarded(callbacks.log);
    if (callbacks.epoch) {
      hooks.epoch = [callback = guarded(callbacks.epoch)](const EpochProgress& epoch, const std::string&) {
        callback(epoch);
      };
    }
    TrainReport report = run_training(network, *executor, loop_data, recipe, hooks);

    AdapterMetadata metadata = loaded.adapter->metadata.value_or(AdapterMetadata{
        loaded.entry->name, loaded.weights_name, loaded.base_sha256.get(), loaded.classes, preprocessing});
    metadata.preprocessing = preprocessing;
    metadata.precision = recipe.machine.precision;
    metadata.activation_ranges.clear();
    if (is_int8) metadata.activation_ranges = merged_ranges(network, loop_data, loaded.prepared);
    metadata.training = {{"data", recipe.data.name}, {"images", data.train->size()},
                         {"seed", recipe.loop.seed}, {"trainable_parameters", trainable_parameters()},
                         {"epochs", report.epochs},  {"steps", report.steps}};
    if (recipe.data.bad_images == BadImages::kSkip) metadata.training[kBadImagesKey] = kSkipBadImages;
    if (splits.whole) metadata.training["split"] = split_record(split_options(recipe.data), splits.whole);
    // Nothing below throws.
    for (auto& [name, tensor] : network.trainable()) tensor.mutable_grad().reset();
    loaded.adapter->metadata = std::move(metadata);
    loaded.preprocessing = preprocessing;
    loaded.precision = recipe.machine.precision;
    state().device = recipe.machine.device;
    rollback.done();
    return report;
  });
}

}  // namespace lorikeet
