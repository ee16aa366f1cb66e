// Everything that determines the next step of a training run. From a state, with the same data and options, a new
// network, executor and TrainingSession (train/session.h) continue with the same results. It contains no state of a
// random generator: order, augmentation and dropout are functions of (seed, epoch, image) and (seed, step, layer).
#pragma once

#include <cstdint>
#include <string>

#include "base/json.h"
#include "engine/plan.h"
#include "graph/activation_ranges.h"
#include "io/named_tensors.h"
#include "lorikeet/compute.h"
#include "train/caching.h"
#include "train/evaluate.h"
#include "train/optimizer.h"

namespace lorikeet {

struct TrainingState {
  // Identity of the run. A session of another run rejects the state.
  std::uint64_t seed = 0;
  std::int64_t batch_size = 0;
  std::int64_t train_images = 0;
  std::int64_t validation_images = 0;
  std::int64_t total_steps = 0;

  // Position.
  std::int64_t step = 0;   // steps done
  std::int64_t epoch = 0;  // epochs done, validation included
  std::int64_t batch = 0;  // batches done in the current epoch
  bool stopped_early = false;
  /// Multiplies the learning rate. Less than 1 after a divergence.
  double rate_factor = 1;

  // Metrics so far.
  std::int64_t images = 0;
  double loss_sum = 0;  // over the images of the current epoch, or of the last one between epochs
  std::int64_t correct = 0;
  std::int64_t epoch_images = 0;
  double seconds = 0;
  double data_wait_seconds = 0;
  double epoch_seconds = 0;
  double epoch_wait_seconds = 0;

  // Validation and early stopping.
  /// Of the best epoch, or of the last with BestEpoch::kLast. Without confusion matrix and mistakes after parsing.
  EvaluationResult validation;
  std::int64_t epochs_without_gain = 0;
  /// From 1; 0: none yet.
  std::int64_t best_epoch = 0;
  /// The trained tensors of the best epoch; empty without validation, in a run of one epoch, and with
  /// BestEpoch::kLast.
  NamedTensors best;

  // Parameters and optimizer.
  /// Network::state_tensors().
  NamedTensors network;
  OptimizerState optimizer;

  // Choices that the results depend on.
  Plan plan;
  Device device = Device::kCpu;
  Precision precision = Precision::kFloat32;
  EngineKind engine = EngineKind::kFused;
  /// The ranges of an int8 executor.
  ActivationRanges activation_ranges;
  std::int64_t threads = 1;
  // The caches' places depend on the free memory and disk space at the start. Their content is recomputed with the same
  // batches.
  CachePlace train_cache = CachePlace::kNone;
  CachePlace validation_cache = CachePlace::kNone;
};

/// A state in serialised form: tensors for safetensors, everything else as JSON.
struct SerializedState {
  Json json;
  /// "network.NAME", "best.NAME", "optimizer.first.N", "optimizer.second.N".
  NamedTensors tensors;
};

SerializedState serialize(const TrainingState& state);

/// Throws Error, starting with `where`, for an invalid state. The session checks whether it fits a network.
TrainingState parse_training_state(const SerializedState& serialized, const std::string& where);

}  // namespace lorikeet
