// Accuracy and loss over a dataset, in a fixed order and fixed batches, so that the same adapter gives the same figures
// at the end of training and after loading.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "data/dataset.h"
#include "engine/executor.h"
#include "engine/prefix_cache.h"
#include "lorikeet/progress.h"

namespace lorikeet {

struct Evaluation {
  std::int64_t correct = 0;
  std::int64_t total = 0;
  /// Mean cross-entropy, without label smoothing.
  double loss = 0;
  double seconds = 0;
  std::vector<std::int64_t> correct_by_class;
  std::vector<std::int64_t> total_by_class;

  double accuracy() const { return total == 0 ? 0 : static_cast<double>(correct) / static_cast<double>(total); }
};

struct EvaluationOptions {
  at::Device device = at::kCPU;
  /// Filled the first time, read from then on; null: none. Same batches, so the same numbers.
  PrefixCache* cache = nullptr;
  EvaluateCallback progress = {};
};

/// `dataset` gives images as they were read.
Evaluation evaluate(Executor& executor, const std::shared_ptr<const Dataset>& dataset,
                    const Preprocessing& preprocessing, const EvaluationOptions& options);

}  // namespace lorikeet
