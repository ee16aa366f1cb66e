// The memory that a training run takes, and the check that the machine has it.
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
  /// Bytes that the datasets hold in memory.
  std::uint64_t dataset_bytes = 0;
};

/// With steps of `batch` images. Images without a common size are taken to be as large as the first.
MemoryEstimate run_memory(const PlannedRun& run, std::int64_t batch);

/// Throws UsageError where the run takes more than `available` bytes beside the `resident` ones that it has already,
/// with the largest batch size that fits.
void require_memory(const PlannedRun& run, std::uint64_t available, std::uint64_t resident);

}  // namespace lorikeet
