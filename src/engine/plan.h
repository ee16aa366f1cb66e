// Cuts a network into segments by what training needs of them (docs/architecture.md):
//   1. frozen prefix: nothing before it learns; runs without gradients, and its output can be kept;
//   2. frozen but differentiable: something before it learns, so the gradient to its input is needed, nothing else;
//   3. trained: adapted or retrained.
// The prefix may be cut short where its whole output would be too large to keep; what is frozen after the cut runs
// every time.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/network.h"

namespace lorikeet {

enum class Segment { kFrozenPrefix, kFrozenAfterCut, kDifferentiable, kTrained };

/// Whether no gradient passes: nothing in it or before it learns.
bool is_frozen(Segment segment);

struct Plan {
  /// One for each node.
  std::vector<Segment> segment;
  /// The nodes of the prefix whose outputs the rest reads: what a step starts from. The output itself where nothing
  /// learns.
  std::vector<NodeId> frontier;
};

Plan make_plan(const Network& network);

/// Plans for adapted networks of one base whose frozen prefixes are one and the same: what is frozen in all of them.
/// What one network's executor makes of the prefix, every other's can go on from.
std::vector<Plan> plans_with_common_prefix(const std::vector<const Network*>& networks);

/// Size of an image, and bytes of an element of what is computed from it.
struct ImageCost {
  std::int64_t height = 0;
  std::int64_t width = 0;
  std::uint64_t element_size = 4;
  /// As the plain engine computes: also the tokens that nothing reads (engine/token_reads.h).
  bool all_tokens = false;
};

/// Bytes of the frontier's tensors for one image.
std::uint64_t frontier_bytes(const Plan& plan, const Graph& graph, const ImageCost& image);

/// The plan with its prefix cut where its output for one image takes at most `limit` bytes and the most multiply-adds
/// are saved; the same plan where nothing is saved within the limit.
Plan cut_prefix(const Plan& plan, const Graph& graph, const ImageCost& image, std::uint64_t limit);

}  // namespace lorikeet
