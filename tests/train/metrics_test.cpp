#include "train/metrics.h"

#include <doctest/doctest.h>

#include "refusal.h"

using namespace lorikeet;

namespace {

// 10 images of classes a, b and c; no image of d, which is never predicted either.
EvaluationResult ten_images() {
  EvaluationResult out;
  out.confusion = {3, 1, 0, 0,   //
                   1, 2, 1, 0,   //
                   0, 0, 2, 0,   //
                   0, 0, 0, 0};  //
  out.total_by_class = {4, 4, 2, 0};
  out.predicted_by_class = {4, 3, 3, 0};
  out.correct_by_class = {3, 2, 2, 0};
  out.correct = 7;
  out.correct_top5 = 10;
  out.total = 10;
  out.loss = 0.5;
  out.total_by_bin[14] = 6;
  out.correct_by_bin[14] = 5;
  out.probability_by_bin[14] = 5.8;
  out.total_by_bin[9] = 4;
  out.correct_by_bin[9] = 2;
  out.probability_by_bin[9] = 2.6;
  return out;
}

}  // namespace

TEST_CASE("metrics are scikit-learn's: macro averages over the classes that occur") {
  const EvaluationResult r = ten_images();
  const auto by_class = class_metrics(r);
  CHECK(by_class[1].precision == doctest::Approx(2.0 / 3));
  CHECK(by_class[1].recall == doctest::Approx(0.5));
  CHECK(by_class[1].f1 == doctest::Approx(4.0 / 7));
  CHECK(by_class[3].f1 == 0);
  CHECK(metric(r, Metric::kAccuracy) == 0.7);
  CHECK(metric(r, Metric::kTop5Accuracy) == 1);
  CHECK(metric(r, Metric::kLoss) == 0.5);
  CHECK(metric(r, Metric::kMacroPrecision) == doctest::Approx((0.75 + 2.0 / 3 + 2.0 / 3) / 3));
  CHECK(metric(r, Metric::kMacroRecall) == doctest::Approx((0.75 + 0.5 + 1) / 3));
  CHECK(metric(r, Metric::kMacroF1) == doctest::Approx((0.75 + 4.0 / 7 + 0.8) / 3));
  CHECK(metric(r, Metric::kCalibrationError) == doctest::Approx((0.8 + 0.6) / 10));
  for (const Metric each : {Metric::kAccuracy, Metric::kMacroF1, Metric::kCalibrationError})
    CHECK(metric({}, each) == 0);
}

TEST_CASE("Wilson intervals") {
  // statsmodels.stats.proportion.proportion_confint(count, total, method="wilson")
  CHECK(wilson_interval(7, 10).low == doctest::Approx(0.3967781));
  CHECK(wilson_interval(7, 10).high == doctest::Approx(0.8922087));
  CHECK(wilson_interval(10, 10).high == 1);
  CHECK(wilson_interval(10, 10).low == doctest::Approx(0.7224672));
  CHECK(wilson_interval(0, 10).low == 0);
  CHECK(wilson_interval(0, 0).low == 0);
  CHECK(wilson_interval(0, 0).high == 1);
}

TEST_CASE("each metric has its own direction") {
  EvaluationResult good = ten_images();
  EvaluationResult bad = good;
  bad.loss = 0.6;
  CHECK(is_better(BestEpoch::kLoss, good, bad));
  CHECK_FALSE(is_better(BestEpoch::kLoss, bad, good));
  CHECK_FALSE(is_better(BestEpoch::kAccuracy, good, bad));  // equal
  bad.probability_by_bin[14] = 6;
  CHECK(is_better(BestEpoch::kCalibrationError, good, bad));
  bad.correct_by_class[0] = 2;
  CHECK(is_better(BestEpoch::kMacroF1, good, bad));
  CHECK(name_of(BestEpoch::kMacroF1) == "macro_f1");
  CHECK(title_of(BestEpoch::kMacroF1) == "macro F1");
  CHECK(title_of(BestEpoch::kCalibrationError) == "calibration error");
  CHECK(name_of(BestEpoch::kLast) == "last");
}

TEST_CASE("as JSON: rows of the classes that occur, and the matrix up to a number of classes") {
  const std::vector<std::string> names{"a", "b", "c", "d"};
  const Json json = metrics_json(ten_images(), names, 4);
  CHECK(json["classes"].size() == 3);
  CHECK(json["classes"][1]["class"] == "b");
  CHECK(json["classes"][1]["predicted"] == 3);
  CHECK(json["confusion"]["labels"] == names);
  CHECK(json["confusion"]["images"][1] == Json({1, 2, 1, 0}));
  CHECK_FALSE(json.contains("top5_accuracy"));
  CHECK(json["accuracy_interval"][0] == doctest::Approx(0.3967781));
  CHECK_FALSE(metrics_json(ten_images(), names, 3).contains("confusion"));
}
