// The weighted sum of several LoRA adapters of one base as one adapter, ΔW = Σ weight · ΔW of each: exact, unlike
// PEFT's `linear`, which adds the matrices themselves and so gets products of one adapter's A with another's B (PEFT
// issue 3004).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "adapters/adapter_folder.h"

namespace lorikeet {

/// cat: the matrices side by side, the rank is the sum of all. linear: the same at the smallest rank that is exact.
/// svd: the best of a given rank.
enum class Combination { kCat, kLinear, kSvd };

struct WeightedAdapter {
  /// For messages: its path.
  std::string name;
  double weight = 1;
  AdapterFolder folder;
};

struct CombinedLayer {
  std::string name;
  std::int64_t rank = 0;
  /// ‖ΔW − B·A‖ / ‖ΔW‖: of svd.
  double error = 0;
};

struct Combined {
  AdapterFolder folder;
  std::vector<CombinedLayer> layers;
};

/// `rank` counts for svd. A module that several adapters retrain, or a head, must be the same in all of them. Throws
/// Error where an adapter is no plain LoRA of `base`, or if they are of different bases.
Combined combine(const std::vector<WeightedAdapter>& adapters, const Graph& base, Combination how, std::int64_t rank);

}  // namespace lorikeet
