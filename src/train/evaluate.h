// Accuracy and loss over a dataset, in a fixed order and fixed batches, so that the same adapter gives the same figures
// at the end of training and after loading.
#pragma once

#include <memory>
#include <utility>

#include "data/dataset.h"
#include "engine/executor.h"
#include "engine/prefix_cache.h"
#include "graph/graph.h"
#include "image/preprocessing.h"
#include "lorikeet/evaluation.h"
#include "lorikeet/progress.h"

namespace lorikeet {

struct EvaluationOptions {
  at::Device device = at::kCPU;
  /// Filled the first time, read from then on; null: none. Same batches, so the same numbers.
  PrefixCache* cache = nullptr;
  /// Images run at once: evaluation_batch().
  std::int64_t batch_size = 100;
  EvaluateCallback progress = {};
};

/// Height and width of the images that the network sees; of the first where they have no common size.
std::pair<std::int64_t, std::int64_t> image_size(const Dataset& dataset, const Preprocessing& preprocessing);

/// How many of these images an evaluation runs at once: the same at the end of training and of a loaded adapter.
std::int64_t evaluation_batch(const Graph& graph, const Dataset& dataset, const Preprocessing& preprocessing);

/// `dataset` gives images as they were read.
EvaluationResult evaluate(Executor& executor, const std::shared_ptr<const Dataset>& dataset,
                          const Preprocessing& preprocessing, const EvaluationOptions& options);

}  // namespace lorikeet
