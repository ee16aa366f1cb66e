// Accuracy and loss over a dataset, in a fixed order and fixed batches, so that the same adapter gives the same figures
// at the end of training and after loading.
#pragma once

#include <memory>

#include "data/dataset.h"
#include "engine/executor.h"
#include "engine/prefix_cache.h"
#include "lorikeet/evaluation.h"
#include "lorikeet/progress.h"

namespace lorikeet {

struct EvaluationOptions {
  at::Device device = at::kCPU;
  /// Filled the first time, read from then on; null: none. Same batches, so the same numbers.
  PrefixCache* cache = nullptr;
  EvaluateCallback progress = {};
};

/// `dataset` gives images as they were read.
EvaluationResult evaluate(Executor& executor, const std::shared_ptr<const Dataset>& dataset,
                          const Preprocessing& preprocessing, const EvaluationOptions& options);

}  // namespace lorikeet
