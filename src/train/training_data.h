// The part of a dataset that training uses: limits, and held-out validation images.
#pragma once

#include "data/datasets.h"
#include "lorikeet/training_options.h"

namespace lorikeet {

/// Throws Error if there is no train split, and UsageError if the options request more images than exist.
Splits split_data(const TrainingOptions& options, const Splits& splits);

}  // namespace lorikeet
