// What runs a network while it trains, and the measured ranges that int8 needs for it.
#pragma once

#include <memory>

#include "engine/executor.h"
#include "engine/network.h"
#include "graph/activation_ranges.h"
#include "train/loop.h"

namespace lorikeet {

/// By the engine and in the precision of `machine`. int8 takes its scales from some of the training images. REQUIRES:
/// options.plan.
std::unique_ptr<Executor> make_training_executor(const Network& network, const MachineOptions& machine,
                                                 ExecutorOptions options, const LoopData& data);

/// Ranges of the network with its adapter merged in, for some of the training images: what a finished int8 adapter is
/// run with. `prepared` is the base's: layers without an adapter stay as they are. Throws Error if the adapter cannot
/// be merged.
ActivationRanges merged_ranges(const Network& network, const LoopData& data,
                               const std::shared_ptr<PreparedBase>& prepared);

}  // namespace lorikeet
