// The memory that a training run needs, and the check that the machine or its GPU has it.
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
  /// Training, validation and test data.
  const Splits& data;
  /// memory_bytes() of all splits, including unused ones.
  std::uint64_t dataset_bytes = 0;
};

/// Bytes of the datasets held in memory.
std::uint64_t memory_bytes(const Splits& splits);

/// Estimates the memory of a run with batches of `batch` images. If sizes differ, all images count as large as the
/// first.
MemoryEstimate run_memory(const PlannedRun& run, std::int64_t batch);

/// Throws UsageError if `copies` copies of the trainable parameters, and the adapter's fixed tensors, need more than
/// `available` bytes. To be called before they are created.
void require_learned_memory(const Adaptation& adaptation, std::uint64_t copies, std::uint64_t available);

/// For training: the parameters, their gradients and AdamW's two moments.
inline constexpr std::uint64_t kTrainingCopies = 4;

/// Throws UsageError, with the largest batch size that fits, if the run needs more than the free memory of the machine
/// or, with Device::kCuda, of the GPU. Passes if that is unknown. REQUIRES: a network on the device.
void require_memory(const PlannedRun& run);
/// The same for `available` free bytes in addition to the `resident` ones of the process.
void require_memory(const PlannedRun& run, std::uint64_t available, std::uint64_t resident);

}  // namespace lorikeet
