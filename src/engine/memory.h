// What training and evaluation take in memory, estimated before they run by walking through the fused steps as the
// executor does.
#pragma once

#include <algorithm>
#include <cstdint>

#include "engine/network.h"
#include "engine/plan.h"

namespace lorikeet {

struct MemoryEstimate {
  /// The network's tensors as they were loaded, float32.
  std::uint64_t weights = 0;
  /// What the engine makes of the frozen ones: BatchNorm folded in, packed, for the forward pass and for gradients; in
  /// one layout. Batches of other sizes may ask oneDNN for another; Packings::kKept are kept at most.
  std::uint64_t prepared = 0;
  /// Gradients of what is learned, and AdamW's two moments.
  std::uint64_t learning = 0;
  /// Activations and gradients at the worst moment of a step.
  std::uint64_t activations = 0;
  /// Activations of an evaluation, which runs before or after a step.
  std::uint64_t evaluation = 0;
  /// The images that are held in memory or read ahead.
  std::uint64_t data = 0;
  /// Outputs of the frozen prefix that are kept in memory.
  std::uint64_t cache = 0;
  /// The program with libtorch and oneDNN, their threads and scratch memory: measured.
  std::uint64_t program = 200ULL << 20;

  std::uint64_t total() const {
    return weights + prepared + learning + std::max(activations, evaluation) + data + cache + program;
  }
};

/// How many images an evaluation runs at once: at most 100, and no more than take about 256 MiB of activations in
/// float32. The same for a network whether it was just trained or loaded.
std::int64_t evaluation_batch(const Graph& graph, std::int64_t height, std::int64_t width);

/// For training steps of `batch` images and evaluations; without data and cache.
MemoryEstimate estimate_memory(const Network& network, const Plan& plan, const ImageCost& image, std::int64_t batch);
/// Likewise, without weights.
MemoryEstimate estimate_memory(const Adaptation& adaptation, const ImageCost& image, std::int64_t batch);

}  // namespace lorikeet
