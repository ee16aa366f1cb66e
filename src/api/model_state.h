// The state of a Model, shared by the files that implement it.
#pragma once

#include <memory>

#include "engine/executor.h"
#include "image/preprocessing.h"
#include "loading/loaded_model.h"
#include "lorikeet/model.h"

namespace lorikeet {

struct Model::State {
  LoadedModel loaded;
  Device device = Device::kCpu;
  std::unique_ptr<Executor> executor;  // created on first use

  Executor& run();
};

/// Replaces the class names. Throws UsageError unless there is a name for each output.
void name_classes(LoadedModel& loaded, const std::vector<std::string>& classes);

/// Returns `own`, or only its normalisation.
Preprocessing chosen_preprocessing(const Preprocessing& own, Preprocess preprocess);

}  // namespace lorikeet
