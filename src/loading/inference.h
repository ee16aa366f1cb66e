// Creates the executor of a finished network: for evaluation at the end of training, loaded models and adapter sets.
// One function for all of these makes their results equal.
#pragma once

#include <memory>

#include "engine/executor.h"
#include "loading/loaded_model.h"
#include "lorikeet/compute.h"

namespace lorikeet {

struct InferenceOptions {
  Precision precision = Precision::kFloat32;
  /// For int8: the ranges of the merged network. Copied.
  const ActivationRanges* activation_ranges = nullptr;
  /// Prepared weights of the network's base; null: not shared. Not used for int8, whose merged weights differ from the
  /// base.
  std::shared_ptr<PreparedBase> prepared = nullptr;
};

/// The network must outlive the executor, except for int8, where the executor owns the merged weights. Not thread-safe.
std::unique_ptr<Executor> make_inference_executor(const Network& network, const InferenceOptions& options);

/// Creates the executor in the model's own precision. The model must outlive the executor and not move.
std::unique_ptr<Executor> make_inference_executor(const LoadedModel& model);

}  // namespace lorikeet
