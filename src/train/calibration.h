// What int8 takes its scales from.
#pragma once

#include <memory>

#include "data/dataset.h"
#include "engine/network.h"
#include "engine/plan.h"
#include "graph/activation_ranges.h"
#include "image/preprocessing.h"

namespace lorikeet {

/// Ranges of the activations of the plan's frozen prefix for some training images. `data` gives images as they were
/// read. REQUIRES: a network on the CPU.
ActivationRanges calibrate(const Network& network, const Plan& plan, const std::shared_ptr<const Dataset>& data,
                           const Preprocessing& preprocessing);

}  // namespace lorikeet
