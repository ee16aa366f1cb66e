// A training run that can stop after any step: `advance` does one step, `state` returns everything that the next one
// depends on, and a session made from that state continues with the same results, byte for byte
// (train/training_state.h). It writes nothing; it reports through hooks.
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
  /// The images of an epoch (from 0) in their order: a function of its argument alone, of the same length for each
  /// epoch. By default epoch_order of all images. Where several processes train together, each takes its share.
  std::function<std::vector<std::int64_t>(std::int64_t epoch)> order;
  /// Called between the backward pass and the optimiser's step with the gradients, in the order of
  /// Network::trainable(); may replace their values, as by the mean over several processes.
  std::function<void(std::span<at::Tensor> gradients)> reduce_gradients;
  /// The state to continue from. The network must be of the same adaptation, the executor made with the state's plan,
  /// precision and ranges. Only read by the constructor.
  const TrainingState* state = nullptr;
};

/// Computes with as many threads as the options or the state say, as long as it exists. The network, the executor and
/// the hooks must outlive it.
class TrainingSession {
 public:
  /// Throws Error where options.state is of another run or another network.
  TrainingSession(Network& network, Executor& executor, LoopData data, TrainingOptions options, LoopHooks hooks,
                  SessionOptions session = {});
  ~TrainingSession();
  TrainingSession(const TrainingSession&) = delete;
  TrainingSession& operator=(const TrainingSession&) = delete;

  /// The next step, or after the last step of an epoch its end: validation, early stop, checkpoint. False where there
  /// is nothing more to do, or the progress callback interrupted. Throws Error where the loss is not finite, and before
  /// a checkpoint where what is learned is not.
  bool advance();
  /// Copies; may be called between any two advances.
  TrainingState state() const;
  /// Puts the best epoch's tensors into the network, if early stop kept them. Throws Error where what is learned is not
  /// finite. No other call may follow.
  TrainReport finish();

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace lorikeet
