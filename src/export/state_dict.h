// The tensors that a plain model of torchvision or timm loads: names, order and shapes of its state_dict().
#pragma once

#include "engine/network.h"

namespace lorikeet {

/// The network's merged tensors and, after those of each BatchNorm, its `num_batches_tracked`: 0, because evaluation
/// does not use it and no file that we read keeps it. A head after the network adds `head.0.weight` …, which no plain
/// model has.
NamedTensors state_dict(const Network& network);

}  // namespace lorikeet
