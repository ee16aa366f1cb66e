// Accuracy, loss and further metrics of a model on labelled images. Names and definitions are scikit-learn's.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "lorikeet/export.h"

namespace lorikeet {

/// A misclassified image.
struct Mistake {
  std::int64_t image = 0;  // index in the evaluated data
  std::int64_t label = 0;
  std::int64_t predicted = 0;
  /// Probability of the predicted class, in [0, 1].
  double probability = 0;
};

struct EvaluationResult {
  std::int64_t correct = 0;
  /// Images evaluated. Fewer than the data has if a callback stopped the evaluation; 0 if there was no evaluation.
  std::int64_t total = 0;
  /// Images whose class is among the five with the greatest logits.
  std::int64_t correct_top5 = 0;
  /// Mean cross-entropy, without label smoothing.
  double loss = 0;
  double seconds = 0;
  // Per class, in the model's order.
  std::vector<std::int64_t> correct_by_class;
  std::vector<std::int64_t> total_by_class;
  std::vector<std::int64_t> predicted_by_class;
  /// Images by class and predicted class, row-major (class, predicted class). Empty with more than 1,000 classes.
  std::vector<std::int64_t> confusion;

  /// Images in 15 bins of equal width by the probability of the predicted class: (0, 1/15], (1/15, 2/15] ….
  static constexpr std::size_t kBins = 15;
  std::array<std::int64_t, kBins> total_by_bin{};
  std::array<std::int64_t, kBins> correct_by_bin{};
  /// Sums of these probabilities.
  std::array<double, kBins> probability_by_bin{};

  /// The 24 mistakes with the most probable predictions, most probable first.
  std::vector<Mistake> mistakes;

  /// In [0, 1]; 0 if no image was evaluated.
  double accuracy() const { return total == 0 ? 0 : static_cast<double>(correct) / static_cast<double>(total); }
  double top5_accuracy() const {
    return total == 0 ? 0 : static_cast<double>(correct_top5) / static_cast<double>(total);
  }
};

/// One number for the quality of an evaluation. Macro averages are unweighted means over the classes that occur among
/// the labels or the predictions.
enum class Metric { kAccuracy, kTop5Accuracy, kLoss, kMacroPrecision, kMacroRecall, kMacroF1, kCalibrationError };

/// Returns 0 if no image was evaluated.
LORIKEET_EXPORT double metric(const EvaluationResult& result, Metric metric);
/// Whether a greater value is better.
LORIKEET_EXPORT bool is_greater_better(Metric metric);

/// Precision, recall and F1 of one class, in [0, 1]; 0 where the denominator is 0.
struct ClassMetrics {
  double precision = 0;
  double recall = 0;
  double f1 = 0;
};
LORIKEET_EXPORT std::vector<ClassMetrics> class_metrics(const EvaluationResult& result);

struct Interval {
  double low = 0;
  double high = 1;
};

/// The 95 % Wilson score interval of a proportion (Wilson, 1927); [0, 1] if `total` is 0.
LORIKEET_EXPORT Interval wilson_interval(std::int64_t correct, std::int64_t total);

}  // namespace lorikeet
