// The part of a dataset that training uses: limits, and images held out for validation.
#pragma once

#include "data/datasets.h"
#include "lorikeet/training_options.h"

namespace lorikeet {

/// Throws Error where there is no train split, UsageError where the options ask for images that are not there.
Splits split_data(const TrainingOptions& options, const Splits& splits);

}  // namespace lorikeet
