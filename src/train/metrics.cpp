#include "train/metrics.h"

#include <algorithm>
#include <cmath>

namespace lorikeet {
namespace {

double ratio(std::int64_t part, std::int64_t total) {
  return total == 0 ? 0 : static_cast<double>(part) / static_cast<double>(total);
}

Metric metric_of(BestEpoch best) { return static_cast<Metric>(best); }

// Mean over the classes that occur.
double macro(const EvaluationResult& r, double ClassMetrics::*member) {
  const std::vector<ClassMetrics> classes = class_metrics(r);
  double sum = 0;
  std::int64_t count = 0;
  for (std::size_t i = 0; i < classes.size(); ++i) {
    if (r.total_by_class[i] == 0 && r.predicted_by_class[i] == 0) continue;
    sum += classes[i].*member;
    ++count;
  }
  return count == 0 ? 0 : sum / static_cast<double>(count);
}

// Expected calibration error (Guo et al., 2017, arXiv:1706.04599): the mean distance of accuracy and probability.
double calibration_error(const EvaluationResult& r) {
  double out = 0;
  for (std::size_t bin = 0; bin < EvaluationResult::kBins; ++bin)
    out += std::abs(static_cast<double>(r.correct_by_bin[bin]) - r.probability_by_bin[bin]);
  return r.total == 0 ? 0 : out / static_cast<double>(r.total);
}

Json interval_json(std::int64_t correct, std::int64_t total) {
  const Interval interval = wilson_interval(correct, total);
  return {interval.low, interval.high};
}

}  // namespace

double metric(const EvaluationResult& result, Metric metric) {
  switch (metric) {
    case Metric::kAccuracy: return result.accuracy();
    case Metric::kTop5Accuracy: return result.top5_accuracy();
    case Metric::kLoss: return result.loss;
    case Metric::kMacroPrecision: return macro(result, &ClassMetrics::precision);
    case Metric::kMacroRecall: return macro(result, &ClassMetrics::recall);
    case Metric::kMacroF1: return macro(result, &ClassMetrics::f1);
    case Metric::kCalibrationError: return calibration_error(result);
  }
  return 0;
}

bool is_greater_better(Metric metric) { return metric != Metric::kLoss && metric != Metric::kCalibrationError; }

std::vector<ClassMetrics> class_metrics(const EvaluationResult& result) {
  std::vector<ClassMetrics> out;
  for (std::size_t i = 0; i < result.total_by_class.size(); ++i) {
    const std::int64_t correct = result.correct_by_class[i];
    const std::int64_t total = result.total_by_class[i];
    const std::int64_t predicted = result.predicted_by_class[i];
    out.push_back({ratio(correct, predicted), ratio(correct, total), ratio(2 * correct, total + predicted)});
  }
  return out;
}

Interval wilson_interval(std::int64_t correct, std::int64_t total) {
  if (total == 0) return {};
  constexpr double kZ = kNormalQuantile;
  const auto n = static_cast<double>(total);
  const double p = static_cast<double>(correct) / n;
  const double scale = 1 + kZ * kZ / n;
  const double centre = (p + kZ * kZ / (2 * n)) / scale;
  const double half = kZ / scale * std::sqrt(p * (1 - p) / n + kZ * kZ / (4 * n * n));
  return {correct == 0 ? 0 : centre - half, correct == total ? 1 : centre + half};
}

const std::vector<std::string>& best_epoch_names() {
  static const std::vector<std::string> kNames{
      "accuracy", "top5_accuracy", "loss", "macro_precision", "macro_recall", "macro_f1", "calibration_error", "last"};
  return kNames;
}

std::string name_of(BestEpoch best) { return best_epoch_names()[static_cast<std::size_t>(best)]; }

std::string title_of(BestEpoch best) {
  if (best == BestEpoch::kMacroF1) return "macro F1";
  if (best == BestEpoch::kTop5Accuracy) return "top-5 accuracy";
  std::string out = name_of(best);
  std::replace(out.begin(), out.end(), '_', ' ');
  return out;
}

bool is_better(BestEpoch by, const EvaluationResult& found, const EvaluationResult& best) {
  const double a = metric(found, metric_of(by));
  const double b = metric(best, metric_of(by));
  return is_greater_better(metric_of(by)) ? a > b : a < b;
}

Json evaluation_json(const EvaluationResult& result) {
  return {{"accuracy", result.accuracy()},
          {"correct", result.correct},
          {"total", result.total},
          {"loss", result.loss},
          {"seconds", result.seconds}};
}

Json metrics_json(const EvaluationResult& result, const std::vector<std::string>& classes,
                  std::size_t confusion_classes) {
  Json out = evaluation_json(result);
  out["accuracy_interval"] = interval_json(result.correct, result.total);
  if (classes.size() >= kTop5Classes) {
    out["top5_accuracy"] = result.top5_accuracy();
    out["top5_interval"] = interval_json(result.correct_top5, result.total);
  }
  out["macro_precision"] = metric(result, Metric::kMacroPrecision);
  out["macro_recall"] = metric(result, Metric::kMacroRecall);
  out["macro_f1"] = metric(result, Metric::kMacroF1);
  out["calibration_error"] = metric(result, Metric::kCalibrationError);
  const std::vector<ClassMetrics> by_class = class_metrics(result);
  Json rows = Json::array();
  for (std::size_t i = 0; i < by_class.size(); ++i) {
    if (result.total_by_class[i] == 0 && result.predicted_by_class[i] == 0) continue;
    rows.push_back({{"class", classes[i]},
                    {"correct", result.correct_by_class[i]},
                    {"total", result.total_by_class[i]},
                    {"predicted", result.predicted_by_class[i]},
                    {"precision", by_class[i].precision},
                    {"recall", by_class[i].recall},
                    {"recall_interval", interval_json(result.correct_by_class[i], result.total_by_class[i])},
                    {"f1", by_class[i].f1}});
  }
  out["classes"] = std::move(rows);
  if (!result.confusion.empty() && classes.size() <= confusion_classes) {
    Json matrix = Json::array();
    for (std::size_t i = 0; i < classes.size(); ++i) {
      const auto row = result.confusion.begin() + static_cast<std::ptrdiff_t>(i * classes.size());
      matrix.push_back(std::vector<std::int64_t>(row, row + static_cast<std::ptrdiff_t>(classes.size())));
    }
    out["confusion"] = {{"labels", classes}, {"rows", "class"}, {"columns", "predicted class"}, {"images", matrix}};
  }
  return out;
}

}  // namespace lorikeet
