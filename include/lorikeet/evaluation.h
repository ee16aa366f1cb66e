// Accuracy and loss of a model on labelled images.
#pragma once

#include <cstdint>
#include <vector>

namespace lorikeet {

struct EvaluationResult {
  std::int64_t correct = 0;
  /// Images evaluated. Fewer than the data has if a callback stopped the evaluation; 0 if there was no evaluation.
  std::int64_t total = 0;
  /// Mean cross-entropy, without label smoothing.
  double loss = 0;
  double seconds = 0;
  // Per class, in the model's order.
  std::vector<std::int64_t> correct_by_class;
  std::vector<std::int64_t> total_by_class;

  /// In [0, 1]; 0 if no image was evaluated.
  double accuracy() const { return total == 0 ? 0 : static_cast<double>(correct) / static_cast<double>(total); }
};

}  // namespace lorikeet
