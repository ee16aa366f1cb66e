// Estimates the memory of training and evaluation by simulating the executor's fused steps.
#pragma once

#include <algorithm>
#include <cstdint>

#include "engine/network.h"
#include "engine/plan.h"

namespace lorikeet {

struct MemoryEstimate {
  /// The network's tensors as loaded, in float32, and what the adapter's method adds: learned tensors, and those that
  /// follow from a seed or from the base (U and V of LoRA-XS).
  std::uint64_t weights = 0;
  /// Prepared frozen weights: BatchNorm folded in, packed, for the forward pass and for gradients, in one layout. Other
  /// batch sizes may require further oneDNN layouts, at most Packings::kKept.
  std::uint64_t prepared = 0;
  /// Gradients of the trainable tensors and AdamW's two moments.
  std::uint64_t learning = 0;
  /// Peak of activations and gradients during a step.
  std::uint64_t activations = 0;
  /// Activations of an evaluation, which never runs during a step.
  std::uint64_t evaluation = 0;
  /// Images held in memory or read ahead.
  std::uint64_t data = 0;
  /// Cached outputs of the frozen prefix in memory.
  std::uint64_t cache = 0;
  /// The program with libtorch, oneDNN, their threads and scratch memory (measured).
  std::uint64_t program = 200ULL << 20;

  std::uint64_t total() const {
    return weights + prepared + learning + std::max(activations, evaluation) + data + cache + program;
  }
};

/// Returns the batch size of an evaluation: at most 100, limited to about 256 MiB of float32 activations. It is the
/// same after training and after loading.
std::int64_t evaluation_batch(const Graph& graph, std::int64_t height, std::int64_t width);

/// Estimate for training steps of `batch` images and for evaluations, without data and cache.
MemoryEstimate estimate_memory(const Network& network, const Plan& plan, const ImageCost& image, std::int64_t batch);
/// The same without weights.
MemoryEstimate estimate_memory(const Adaptation& adaptation, const ImageCost& image, std::int64_t batch);

}  // namespace lorikeet
