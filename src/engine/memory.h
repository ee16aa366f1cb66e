// What a training step takes in memory, reckoned before it runs by walking through the fused steps as the executor
// does.
#pragma once

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

  std::uint64_t total() const { return weights + prepared + learning + activations; }
};

/// For steps of `batch` images. On top come libtorch's own 0.2 GiB or so, some MiB of oneDNN's scratch memory, and the
/// prefix cache where there is one.
MemoryEstimate estimate_memory(const Network& network, const Plan& plan, const ImageCost& image, std::int64_t batch);
/// Likewise, without weights.
MemoryEstimate estimate_memory(const Adaptation& adaptation, const ImageCost& image, std::int64_t batch);

}  // namespace lorikeet
