// Names, order and shapes of the state_dict() of a plain model of torchvision, timm or transformers.
#pragma once

#include "loading/loaded_model.h"

namespace lorikeet {

/// Returns the network's merged tensors and, after those of each BatchNorm, its `num_batches_tracked`, which is 0
/// because evaluation does not use it and supported files do not keep it; likewise the constant buffers of window
/// attention where the library saves them. An added head contributes `head.0.weight` …, which plain models do not have.
NamedTensors state_dict(const Network& network);

/// The same of the model as `library` has it: under its names, in its shapes and its order. Throws Error if it does not
/// have the network.
NamedTensors state_dict(const LoadedModel& model, Library library);

}  // namespace lorikeet
