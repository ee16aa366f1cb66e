// Accuracy and loss on a dataset. Order and batches are fixed, so an adapter has the same figures at the end of
// training and after loading.
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
  /// Filled by the first evaluation and read by later ones, with the same batches and therefore the same results. May
  /// be null.
  PrefixCache* cache = nullptr;
  /// Images per batch: evaluation_batch().
  std::int64_t batch_size = 100;
  EvaluateCallback progress = {};
};

/// Height and width of the network's input; those of the first image if sizes differ.
std::pair<std::int64_t, std::int64_t> image_size(const Dataset& dataset, const Preprocessing& preprocessing);

/// Returns the batch size of evaluations: the same at the end of training and for a loaded adapter.
std::int64_t evaluation_batch(const Graph& graph, const Dataset& dataset, const Preprocessing& preprocessing);

/// `dataset` returns images as read, without preprocessing.
EvaluationResult evaluate(Executor& executor, const std::shared_ptr<const Dataset>& dataset,
                          const Preprocessing& preprocessing, const EvaluationOptions& options);

}  // namespace lorikeet
