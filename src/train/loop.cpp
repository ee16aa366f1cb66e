#include "train/loop.h"

#include "train/session.h"

namespace lorikeet {

TrainReport run_training(Network& network, Executor& executor, const LoopData& data, const TrainingOptions& options,
                         const LoopHooks& hooks) {
  TrainingSession session(network, executor, data, options, hooks);
  while (session.advance()) {
  }
  return session.finish();
}

}  // namespace lorikeet
