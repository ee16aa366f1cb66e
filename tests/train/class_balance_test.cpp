#include "train/class_balance.h"

#include <doctest/doctest.h>

#include <map>
#include <vector>

#include "data/made_dataset.h"
#include "refusal.h"

using namespace lorikeet;

namespace {

// 8 images of class 0, 3 of class 1, 1 of class 3; none of class 2.
const std::vector<std::int64_t> kSkewedLabels{0, 0, 1, 0, 3, 0, 0, 1, 0, 1, 0, 0};

std::shared_ptr<const Dataset> skewed() {
  return std::make_shared<MadeDataset>(12, 4, [](std::int64_t i) {
    return Sample{at::zeros({3, 1, 1}, at::kByte), kSkewedLabels[static_cast<std::size_t>(i)]};
  });
}

}  // namespace

TEST_CASE("balanced class weights are scikit-learn's") {
  CHECK(class_counts(*skewed()) == std::vector<std::int64_t>{8, 3, 0, 1});
  CHECK_FALSE(loss_weights({}, *skewed()).defined());
  const at::Tensor balanced = loss_weights({.balanced = true}, *skewed());
  // compute_class_weight("balanced"): n / (k c) = 12 / (3 · c).
  CHECK(balanced.equal(at::tensor({0.5F, 12.0F / 9, 0.0F, 4.0F})));
  CHECK(loss_weights({.values = {1, 2, 3, 0.25}}, *skewed()).equal(at::tensor({1.0F, 2.0F, 3.0F, 0.25F})));
  CHECK_NOTHROW(check_weights({.values = {1, 2, 3, 4}}, *skewed()));
  CHECK(refusal([] {
          check_weights({.values = {1, 2}}, *skewed());
        }) == "class_weights: got 2 weights, expected 4, one for each class.");
}

TEST_CASE("balanced sampling draws each class equally often, and its images in turn") {
  std::map<std::int64_t, int> drawn;  // over all epochs
  std::map<std::int64_t, int> by_class;
  constexpr int kEpochs = 60;
  for (int epoch = 0; epoch < kEpochs; ++epoch) {
    const auto order = balanced_order(kSkewedLabels, 7, epoch);
    CHECK(order.size() == kSkewedLabels.size());
    CHECK(order == balanced_order(kSkewedLabels, 7, epoch));
    CHECK(order != balanced_order(kSkewedLabels, 8, epoch));
    CHECK(order != balanced_order(kSkewedLabels, 7, epoch + 1));
    std::map<std::int64_t, int> now;
    for (const std::int64_t image : order) {
      ++drawn[image];
      ++now[kSkewedLabels[static_cast<std::size_t>(image)]];
    }
    CHECK(now == std::map<std::int64_t, int>{{0, 4}, {1, 4}, {3, 4}});  // 12 draws of 3 classes
  }
  // WeightedRandomSampler's expectation: an image of a class of c images is drawn n / (k c) times an epoch.
  CHECK(drawn[4] == 4 * kEpochs);
  for (const std::int64_t image : {2, 7, 9}) CHECK(drawn[image] == doctest::Approx(4.0 / 3 * kEpochs).epsilon(0.15));
  for (const std::int64_t image : {0, 1, 3, 5, 6, 8, 10, 11})
    CHECK(drawn[image] == doctest::Approx(4.0 / 8 * kEpochs).epsilon(0.5));
  // 11 draws of 3 classes: the one that is left out changes.
  std::vector<std::int64_t> eleven(kSkewedLabels.begin(), kSkewedLabels.end() - 1);
  for (int epoch = 0; epoch < kEpochs; ++epoch) {
    std::map<std::int64_t, int> now;
    for (const std::int64_t image : balanced_order(eleven, 7, epoch)) ++now[eleven[static_cast<std::size_t>(image)]];
    for (const auto& [label, count] : now) {
      CHECK((count == 3 || count == 4));
      if (count == 3) ++by_class[label];
    }
  }
  CHECK(by_class.size() == 3);
}
