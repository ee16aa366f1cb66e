// Names, order and shapes of the state_dict() of a plain torchvision or timm model.
#pragma once

#include "engine/network.h"

namespace lorikeet {

/// Returns the network's merged tensors and, after those of each BatchNorm, its `num_batches_tracked`, which is 0
/// because evaluation does not use it and supported files do not keep it. An added head contributes `head.0.weight` …,
/// which plain models do not have.
NamedTensors state_dict(const Network& network);

}  // namespace lorikeet
