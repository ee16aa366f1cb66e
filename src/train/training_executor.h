// Creates the executor of a training run, and calibrates the activation ranges for int8.
#pragma once

#include <memory>

#include "engine/executor.h"
#include "engine/network.h"
#include "graph/activation_ranges.h"
#include "train/loop.h"

namespace lorikeet {

/// Creates the executor for the engine and precision of `machine`. int8 is calibrated on some of the training images.
/// REQUIRES: options.plan.
std::unique_ptr<Executor> make_training_executor(const Network& network, const MachineOptions& machine,
                                                 ExecutorOptions options, const LoopData& data);

/// Returns the activation ranges of the merged network on some of the training images, with which a finished int8
/// adapter runs. `prepared` belongs to the base, whose layers without an adapter stay unchanged. Throws Error if the
/// adapter cannot be merged.
ActivationRanges merged_ranges(const Network& network, const LoopData& data,
                               const std::shared_ptr<PreparedBase>& prepared);

}  // namespace lorikeet
