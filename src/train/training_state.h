// Everything that determines the next step of a training run. From a state, the same data and the same options, a
// new network, executor and TrainingSession (train/session.h) continue with the same results. It holds no state of a
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
  // The run that it belongs to. A session of another run refuses it.
  std::uint64_t seed = 0;
  std::int64_t batch_size = 0;
  std::int64_t train_images = 0;
  std::int64_t validation_images = 0;
  std::int64_t total_steps = 0;

  // Position.
  std::int64_t step = 0;   // steps done
  std::int64_t epoch = 0;  // epochs done, validation included
  std::int64_t batch = 0;  // batches done of the running epoch
  bool stopped_early = false;

  // Metrics so far.
  std::int64_t images = 0;
  double loss_sum = 0;  // over the images of the running epoch, or of the last one where none runs
  std::int64_t correct = 0;
  std::int64_t epoch_images = 0;
  double seconds = 0;
  double data_wait_seconds = 0;
  double epoch_seconds = 0;
  double epoch_wait_seconds = 0;

  // Validation and early stop.
  EvaluationResult validation;
  std::int64_t epochs_without_gain = 0;
  /// The learned tensors of the best epoch; empty without early stop.
  NamedTensors best;

  // What is learned, and how.
  /// Network::state_tensors().
  NamedTensors network;
  OptimizerState optimizer;

  // Choices on which the numbers depend.
  Plan plan;
  Device device = Device::kCpu;
  Precision precision = Precision::kFloat32;
  EngineKind engine = EngineKind::kFused;
  /// Those that an int8 executor was made with.
  ActivationRanges activation_ranges;
  std::int64_t threads = 1;
  // The caches' places depend on what is free when a run starts. Their content is computed again by the batches that
  // made it.
  CachePlace train_cache = CachePlace::kNone;
  CachePlace validation_cache = CachePlace::kNone;
};

/// A state as it goes into files: tensors as safetensors hold them, everything else as JSON.
struct SerializedState {
  Json json;
  /// "network.NAME", "best.NAME", "optimizer.first.N", "optimizer.second.N".
  NamedTensors tensors;
};

SerializedState serialize(const TrainingState& state);

/// Throws Error, which begins with `where`, for what is no state. Whether it fits a network is checked by the session.
TrainingState parse_training_state(const SerializedState& serialized, const std::string& where);

}  // namespace lorikeet
