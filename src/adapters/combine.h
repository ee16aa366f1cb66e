// The weighted sum of several LoRA adapters of one base as one adapter: ΔW = Σ weightᵢ · ΔWᵢ. It is exact, unlike
// PEFT's `linear`, which adds the matrices and thus includes products of one adapter's A with another's B (PEFT issue
// 3004).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "adapters/adapter_folder.h"

namespace lorikeet {

/// cat: concatenates the matrices; the rank is the sum of all ranks. linear: the same with the smallest exact rank.
/// svd: the best approximation of a given rank.
enum class Combination { kCat, kLinear, kSvd };

struct WeightedAdapter {
  /// Path, for messages.
  std::string name;
  double weight = 1;
  AdapterFolder folder;
};

struct CombinedLayer {
  std::string name;
  std::int64_t rank = 0;
  /// ‖ΔW − B·A‖ / ‖ΔW‖, for svd.
  double error = 0;
};

struct Combined {
  AdapterFolder folder;
  std::vector<CombinedLayer> layers;
};

/// `rank` applies to svd. Heads and modules fully trained by several adapters must be equal in all of them; of a small
/// output, the dense weight in `for_peft` is copied. Throws
/// Error if an adapter is not plain LoRA for `base`, or if the bases differ.
Combined combine(const std::vector<WeightedAdapter>& adapters, const Graph& base, Combination how, std::int64_t rank);

}  // namespace lorikeet
