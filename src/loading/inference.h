// The executor of a finished network, for evaluation at the end of training, for loaded models and
// for sets of adapters: made in one place, so that all give the same answers.
#pragma once

#include <memory>

#include "engine/executor.h"
#include "loading/loaded_model.h"
#include "lorikeet/compute.h"

namespace lorikeet {

struct InferenceOptions {
  Precision precision = Precision::kFloat32;
  /// For int8: those of the merged network. Not kept.
  const ActivationRanges* activation_ranges = nullptr;
  /// What is prepared of the network's base; null: the executor's own. Not for int8, whose merged weights are another
  /// base.
  std::shared_ptr<PreparedBase> prepared = nullptr;
};

/// Int8 runs what the adapter makes of the base's weights, which the executor then owns. The network must outlive the
/// executor otherwise. Not for several threads at once.
std::unique_ptr<Executor> make_inference_executor(const Network& network, const InferenceOptions& options);

/// The model in its own precision. It must outlive the executor and stay where it is.
std::unique_ptr<Executor> make_inference_executor(const LoadedModel& model);

}  // namespace lorikeet
