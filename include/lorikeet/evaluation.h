// Accuracy and loss of a model over labelled images.
#pragma once

#include <cstdint>
#include <vector>

namespace lorikeet {

struct EvaluationResult {
  std::int64_t correct = 0;
  /// Images evaluated: fewer than there are if a callback stopped the evaluation, 0 if there was no evaluation.
  std::int64_t total = 0;
  /// Mean cross-entropy, without label smoothing.
  double loss = 0;
  double seconds = 0;
  // By class, in the model's order.
  std::vector<std::int64_t> correct_by_class;
  std::vector<std::int64_t> total_by_class;

  /// From 0 to 1.
  double accuracy() const { return total == 0 ? 0 : static_cast<double>(correct) / static_cast<double>(total); }
};

}  // namespace lorikeet
