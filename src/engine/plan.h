// Divides a network into segments according to what training needs (docs/architecture.md):
//   1. frozen prefix: runs without gradients, and its output can be cached;
//   2. frozen but differentiable: needs only the gradient to its input, because something before it is trained;
//   3. trained: adapted or fully trained.
// The prefix can be shortened if its output would be too large to cache. Frozen layers after such a cut run at every
// step.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/network.h"

namespace lorikeet {

enum class Segment { kFrozenPrefix, kFrozenAfterCut, kDifferentiable, kTrained };

/// Whether no gradient flows through: neither this segment nor anything before it is trained.
bool is_frozen(Segment segment);

struct Plan {
  /// One per node.
  std::vector<Segment> segment;
  /// The nodes of the prefix whose outputs the rest reads: the inputs of a training step. The network's output if
  /// nothing is trained.
  std::vector<NodeId> frontier;
};

Plan make_plan(const Network& network);

/// Plans for adapted networks of one base with a common frozen prefix: the nodes that are frozen in all of them. Any of
/// the executors can continue from the prefix output of another.
std::vector<Plan> plans_with_common_prefix(const std::vector<const Network*>& networks);

/// Size of an image and element size of its activations in bytes.
struct ImageCost {
  std::int64_t height = 0;
  std::int64_t width = 0;
  std::uint64_t element_size = 4;
  /// As the plain engine computes: also the tokens that nothing reads (engine/token_reads.h).
  bool all_tokens = false;
};

/// Bytes of the frontier's tensors per image.
std::uint64_t frontier_bytes(const Plan& plan, const Graph& graph, const ImageCost& image);

/// Shortens the prefix so that its output takes at most `limit` bytes per image and the most multiply-adds are saved.
/// Returns the same plan if no cut within the limit saves any.
Plan cut_prefix(const Plan& plan, const Graph& graph, const ImageCost& image, std::uint64_t limit);

/// Whether `plan`, whose frontier holds valid nodes, is `full` or `full` with a shortened prefix.
bool is_cut_of(const Plan& plan, const Plan& full, const Graph& graph);

}  // namespace lorikeet
