// Cuts a network into segments by what training needs of them (docs/architecture.md):
//   1. frozen prefix: nothing before it learns; runs without gradients, and its output can be kept;
//   2. frozen but differentiable: something before it learns, so the gradient to its input is needed, nothing else;
//   3. trained: adapted or retrained.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/network.h"

namespace lorikeet {

enum class Segment { kFrozenPrefix, kDifferentiable, kTrained };

struct Plan {
  /// One for each node.
  std::vector<Segment> segment;
  /// The nodes of the prefix whose outputs the rest reads: what a step starts from. The output itself where nothing learns.
  std::vector<NodeId> frontier;
};

Plan make_plan(const Network& network);

/// Bytes of the frontier's tensors for one image of the given size.
std::uint64_t frontier_bytes(const Plan& plan, const Graph& graph, std::int64_t height, std::int64_t width, std::uint64_t element_size);

}  // namespace lorikeet
