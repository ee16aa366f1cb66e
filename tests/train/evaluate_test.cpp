#include "train/evaluate.h"

#include <ATen/Functions.h>
#include <ATen/core/grad_mode.h>
#include <doctest/doctest.h>

#include <vector>

#include "image/transform.h"
#include "train/loop.h"
#include "train/small_model.h"

using namespace lorikeet;

namespace {

constexpr std::int64_t kImages = 230;  // batches of 100, 100 and 30

// Other labels than the network learns, so that some of each class are right; class 3 has no image.
std::shared_ptr<const MadeDataset> images() {
  return std::make_shared<MadeDataset>(kImages, 4, [](std::int64_t i) {
    return Sample{coloured(kImages)->get(i).image, i % 5 == 0 ? 2 : i % 2};
  });
}

}  // namespace

TEST_CASE("an evaluation counts by class, and averages the loss over images") {
  SmallModel model;
  run_training(model.network, *model.executor, {coloured(30), nullptr, kAsTheyAre}, small_recipe(), {.progress = {}});
  const auto dataset = images();
  std::vector<at::Tensor> pixels;
  std::vector<std::int64_t> labels;
  for (std::int64_t i = 0; i < kImages; ++i) {
    pixels.push_back(dataset->get(i).image);
    labels.push_back(dataset->get(i).label);
  }
  const at::Tensor logits = model.executor->predict(normalise(at::stack(pixels), kAsTheyAre));
  std::vector<std::int64_t> correct(4), total(4);
  double loss = 0;
  for (std::int64_t i = 0; i < kImages; ++i) {
    ++total[labels[i]];
    if (logits[i].argmax().item<std::int64_t>() == labels[i]) ++correct[labels[i]];
    loss -= logits[i].log_softmax(0)[labels[i]].item<double>();
  }
  for (const std::size_t label : {0, 1, 2}) {
    REQUIRE(correct[label] > 0);
    REQUIRE(correct[label] < total[label]);
  }

  const EvaluationResult found = evaluate(*model.executor, dataset, kAsTheyAre, {});
  CHECK(found.total == kImages);
  CHECK(found.total_by_class == total);
  CHECK(found.total_by_class[3] == 0);
  CHECK(found.correct_by_class == correct);
  CHECK(found.correct == correct[0] + correct[1] + correct[2]);
  CHECK(found.accuracy() == doctest::Approx(static_cast<double>(found.correct) / kImages));
  CHECK(found.loss == doctest::Approx(loss / kImages).epsilon(1e-5));
  CHECK(found.seconds > 0);
  std::vector<std::int64_t> predicted(4), confusion(16);
  double probability = 0;
  std::int64_t wrong = 0;
  for (std::int64_t i = 0; i < kImages; ++i) {
    const auto choice = logits[i].argmax().item<std::int64_t>();
    ++predicted[choice];
    ++confusion[labels[i] * 4 + choice];
    probability += logits[i].softmax(0).max().item<double>();
    wrong += choice != labels[i] ? 1 : 0;
  }
  CHECK(found.predicted_by_class == predicted);
  CHECK(found.confusion == confusion);
  CHECK(found.correct_top5 == kImages);
  double sum = 0;
  std::int64_t in_bins = 0;
  for (std::size_t bin = 0; bin < EvaluationResult::kBins; ++bin) {
    sum += found.probability_by_bin[bin];
    in_bins += found.total_by_bin[bin];
    if (found.total_by_bin[bin] > 0) {
      const double mean = found.probability_by_bin[bin] / static_cast<double>(found.total_by_bin[bin]);
      CHECK(mean > static_cast<double>(bin) / EvaluationResult::kBins);
      CHECK(mean <= static_cast<double>(bin + 1) / EvaluationResult::kBins);
    }
  }
  CHECK(sum == doctest::Approx(probability).epsilon(1e-5));
  CHECK(in_bins == kImages);
  REQUIRE(found.mistakes.size() == static_cast<std::size_t>(std::min<std::int64_t>(wrong, 24)));
  for (std::size_t i = 0; i < found.mistakes.size(); ++i) {
    const Mistake& mistake = found.mistakes[i];
    CHECK(mistake.label == labels[mistake.image]);
    CHECK(mistake.predicted == logits[mistake.image].argmax().item<std::int64_t>());
    CHECK(mistake.label != mistake.predicted);
    if (i > 0) CHECK(mistake.probability <= found.mistakes[i - 1].probability);
  }
  CHECK(at::GradMode::is_enabled());
  CHECK(EvaluationResult{}.accuracy() == 0);
}

TEST_CASE("a second evaluation comes from the cache, with the same figures") {
  SmallModel model;
  const auto dataset = images();
  PrefixCache cache(kImages);
  const auto run = [&] { return evaluate(*model.executor, dataset, kAsTheyAre, {.cache = &cache, .progress = {}}); };
  const EvaluationResult first = run();
  CHECK(cache.complete());
  CHECK(dataset->reads == kImages);
  const EvaluationResult second = run();
  CHECK(dataset->reads == kImages);
  CHECK(second.total_by_class == first.total_by_class);
  CHECK(second.correct_by_class == first.correct_by_class);
  CHECK(second.loss == doctest::Approx(first.loss).epsilon(1e-6));
}

TEST_CASE("an evaluation tells how far it is, and stops when asked to") {
  SmallModel model;
  PrefixCache cache(kImages);
  for (const bool cached : {false, true}) {
    CAPTURE(cached);
    std::vector<std::int64_t> done;
    const auto run = [&](std::size_t calls) {
      done.clear();
      return evaluate(*model.executor, images(), kAsTheyAre,
                      {.cache = cached ? &cache : nullptr, .progress = [&](std::int64_t so_far, std::int64_t all) {
                         CHECK(all == kImages);
                         done.push_back(so_far);
                         return done.size() < calls;
                       }});
    };
    if (cached) run(10);
    const EvaluationResult part = run(2);
    CHECK((done == std::vector<std::int64_t>{100, 200}));
    CHECK(part.total == 200);
    const EvaluationResult whole = run(10);
    CHECK((done == std::vector<std::int64_t>{100, 200, 230}));
    CHECK(part.loss == doctest::Approx(whole.loss).epsilon(0.2));  // a mean over what was counted
  }
}
