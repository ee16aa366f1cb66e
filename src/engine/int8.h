// Measured ranges of activations, from which int8 takes its scales (Jacob et al., 2018, arXiv:1712.05877, section 2.1).
#pragma once

#include "engine/executor.h"

namespace lorikeet {

/// Widened by each call, so that several batches give the ranges of them all.
/// images float32 (N, 3, H, W), normalised; they run through the network's frozen prefix in float32.
void measure_ranges(const Network& network, const Plan& plan, const at::Tensor& images, ActivationRanges& ranges);

}  // namespace lorikeet
