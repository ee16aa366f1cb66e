// A training run that can stop after any step: `advance` performs one step, and `state` returns everything that the
// next step depends on. A session created from that state continues with bit-identical results
// (train/training_state.h). It writes no files; it reports through hooks.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "train/loop.h"
#include "train/training_state.h"

namespace lorikeet {

struct SessionOptions {
  /// Returns the image order of an epoch (from 0). It must depend only on its argument and have the same length for
  /// every epoch. Default: epoch_order of all images. In distributed training, each process returns its share.
  std::function<std::vector<std::int64_t>(std::int64_t epoch)> order;
  /// Called between the backward pass and the optimizer step with the gradients, in the order of Network::trainable().
  /// May replace their values, for example by their mean over several processes.
  std::function<void(std::span<at::Tensor> gradients)> reduce_gradients;
  /// The state to continue from. The network must have the same adaptation; the executor must be created with the
  /// state's plan, precision and activation ranges. Only the constructor reads it.
  const TrainingState* state = nullptr;
  /// Multiplies the learning rate of a run that starts without a state.
  double rate_factor = 1;
  /// With LoopOptions::seconds: what of them was used before the session, and the number of images of the evaluation
  /// after it.
  double seconds_spent = 0;
  /// Opens a cache of the prefix's outputs that the run shares with others; null if there is none. If it is not set,
  /// the run has caches of its own, as choose_caches says.
  OpenCache open_cache = {};
  std::int64_t test_images = 0;
};

/// While it exists, computes with the number of threads in the options or the state. The network, the executor and the
/// hooks must outlive it.
class TrainingSession {
 public:
  /// Throws Error if options.state belongs to another run or another network.
  TrainingSession(Network& network, Executor& executor, LoopData data, TrainingOptions options, LoopHooks hooks,
                  SessionOptions session = {});
  ~TrainingSession();
  TrainingSession(const TrainingSession&) = delete;
  TrainingSession& operator=(const TrainingSession&) = delete;

  /// Performs the next step or, after the last step of an epoch, its end: validation, early stopping, checkpoint.
  /// Returns false if training is complete or the progress callback interrupted it; an interruption is a checkpoint
  /// too. Throws DivergedError if the loss or, before a checkpoint, a trainable parameter is not finite.
  bool advance();
  /// Returns a copy. May be called between any two calls of `advance`.
  TrainingState state() const;
  /// Restores the best epoch's tensors if early stopping kept them. Throws DivergedError if a trainable parameter is
  /// not finite. Must be the last call.
  TrainReport finish();

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace lorikeet
