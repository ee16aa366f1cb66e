#include "lorikeet/model.h"

#include <algorithm>
#include <utility>

#include "api/boundary.h"
#include "api/compute.h"
#include "api/model_state.h"
#include "base/error.h"
#include "base/text.h"
#include "engine/tensor_type.h"
#include "loading/inference.h"
#include "loading/resolve_name.h"
#include "train/training_data.h"

namespace lorikeet {

Preprocessing chosen_preprocessing(const Preprocessing& own, Preprocess preprocess) {
  Preprocessing out = own;
  if (preprocess == Preprocess::kNormalise) out.resize = out.crop = 0;
  return out;
}

void name_classes(LoadedModel& loaded, const std::vector<std::string>& classes) {
  if (classes.size() != loaded.classes.size()) {
    fail_usage("classes: got ", counted(classes.size(), "name"), ", expected ", loaded.classes.size(),
               ", the outputs of ", loaded.entry->name, ".");
  }
  loaded.classes = classes;
  loaded.has_class_names = true;
}

Executor& Model::State::run() {
  if (!executor) executor = make_inference_executor(loaded);
  return *executor;
}

Model::Model(std::unique_ptr<State> state) : state_(std::move(state)) {}
Model::Model(Model&&) noexcept = default;
Model& Model::operator=(Model&&) noexcept = default;
Model::~Model() = default;

Model::State& Model::state() const {
  if (!state_) fail_usage("model: got one that was moved from, expected one that holds a network.");
  return *state_;
}

Model load(const std::string& name, const LoadOptions& options) {
  return at_boundary("load", [&] {
    check_device(options.device);
    auto state = std::make_unique<Model::State>(
        Model::State{load_model(name, {options.model, options.weights, options.force}, guarded(options.download)),
                     options.device, nullptr});
    LoadedModel& loaded = state->loaded;
    if (loaded.adapter) find_recorded_data(*loaded.adapter, find_adapter(name));
    if (!options.classes.empty()) name_classes(loaded, options.classes);
    loaded.precision = chosen_precision(options, loaded);
    loaded.network.to(tensor_device(options.device));
    if (options.log) std::for_each(loaded.notes.begin(), loaded.notes.end(), guarded(options.log));
    return Model(std::move(state));
  });
}

const std::string& Model::name() const { return state().loaded.entry->name; }

const std::vector<std::string>& Model::classes() const { return state().loaded.classes; }

Device Model::device() const { return state().device; }

Precision Model::precision() const { return state().loaded.precision; }

bool Model::is_adapted() const { return state().loaded.adapter.has_value(); }

std::int64_t Model::trainable_parameters() const {
  return at_boundary("trainable_parameters", [&] {
    std::int64_t total = 0;
    for (const auto& [name, tensor] : state().loaded.network.trainable()) total += tensor.numel();
    return total;
  });
}

std::string Model::trained_on() const {
  return at_boundary("trained_on", [&]() -> std::string {
    const auto& adapter = state().loaded.adapter;
    if (!adapter || !adapter->metadata) return "";
    const Json& training = adapter->metadata->training;
    const auto data = training.find("data");
    return data != training.end() && data->is_string() ? data->get<std::string>() : "";
  });
}

}  // namespace lorikeet
