// The metrics of an evaluation as JSON, and their names in recipes.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "base/json.h"
#include "lorikeet/evaluation.h"
#include "lorikeet/training_options.h"

namespace lorikeet {

/// Names of BestEpoch in recipes: those of Metric, then "last".
const std::vector<std::string>& best_epoch_names();
/// "accuracy", "macro_f1" …
std::string name_of(BestEpoch best);
/// The name in messages: "accuracy", "macro F1" …
std::string title_of(BestEpoch best);

/// Whether `found` is better than `best`, strictly. REQUIRES: not BestEpoch::kLast.
bool is_better(BestEpoch by, const EvaluationResult& found, const EvaluationResult& best);

/// Accuracy, counts, loss and seconds: what an adapter records.
Json evaluation_json(const EvaluationResult& result);

/// Maximum number of classes for which a summary has the confusion matrix.
inline constexpr std::size_t kSummaryClasses = 100;

/// The normal distribution's 97.5 % quantile, for intervals of 95 %.
inline constexpr double kNormalQuantile = 1.959963984540054;

/// Least number of classes for which top-5 accuracy says something: with fewer, every class is among the five.
inline constexpr std::size_t kTop5Classes = 6;

/// All metrics. Top-5 accuracy is left out with fewer than kTop5Classes, and the confusion matrix with more than
/// `confusion_classes`. Classes without images and predictions have no entry. REQUIRES: one name per class.
Json metrics_json(const EvaluationResult& result, const std::vector<std::string>& classes,
                  std::size_t confusion_classes);

}  // namespace lorikeet
