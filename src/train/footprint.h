// The memory that a training run takes, and the check that the machine, or its GPU, has it.
#pragma once

#include <cstdint>

#include "data/datasets.h"
#include "engine/memory.h"
#include "engine/network.h"
#include "engine/plan.h"
#include "image/preprocessing.h"
#include "lorikeet/training_options.h"

namespace lorikeet {

struct PlannedRun {
  const Network& network;
  const Plan& plan;
  const TrainingOptions& options;
  const Preprocessing& preprocessing;
  /// What is trained, validated and tested on.
  const Splits& data;
  /// memory_bytes() of all splits, those that are not used too.
  std::uint64_t dataset_bytes = 0;
};

/// Bytes that the datasets hold in memory.
std::uint64_t memory_bytes(const Splits& splits);

/// With steps of `batch` images. Images without a common size are taken to be as large as the first.
MemoryEstimate run_memory(const PlannedRun& run, std::int64_t batch);

/// Throws UsageError where what is learned takes more than `available` bytes, each number `copies` times: to be asked
/// before it is made.
void require_learned_memory(const Adaptation& adaptation, std::uint64_t copies, std::uint64_t available);

/// Of a training: the numbers, their gradients and AdamW's two moments.
inline constexpr std::uint64_t kTrainingCopies = 4;

/// Throws UsageError, with the largest batch size that fits, where the run takes more memory than the machine has free:
/// the GPU's with Device::kCuda. Passes where that is not known. REQUIRES: a network on the device.
void require_memory(const PlannedRun& run);
/// The same for `available` free bytes, of which the run does not need those `resident` ones that it already has.
void require_memory(const PlannedRun& run, std::uint64_t available, std::uint64_t resident);

}  // namespace lorikeet
