// What a Model holds; shared by the files that implement it.
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
  std::unique_ptr<Executor> executor;  // made when it is first needed

  Executor& run();
};

/// `own`, or of it the normalisation alone.
Preprocessing chosen_preprocessing(const Preprocessing& own, Preprocess preprocess);

}  // namespace lorikeet
