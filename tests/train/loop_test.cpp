#include "train/loop.h"

#include <ATen/Functions.h>
#include <ATen/core/grad_mode.h>
#include <doctest/doctest.h>

#include <algorithm>
#include <limits>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "refusal.h"
#include "train/small_model.h"

using namespace lorikeet;

namespace {

// One training run with all that it says.
struct Run {
  SmallModel model;
  TrainReport result;
  std::vector<Json> steps;
  std::vector<Json> epochs;
  std::vector<std::string> log;
  std::vector<std::vector<at::Tensor>> checkpoints;
  std::vector<TrainProgress> progress;
  // False interrupts.
  TrainCallback go_on = [](const TrainProgress&) { return true; };

  explicit Run(std::uint64_t seed = 0) : model(seed) {}

  void run(const Recipe& recipe, const LoopData& data) {
    const LoopHooks hooks{
        .progress = [&](const TrainProgress& now) { return progress.push_back(now), go_on(now); },
        .metrics = [&](const Json& line) { (line.contains("step") ? steps : epochs).push_back(line); },
        .log = [&](const std::string& line) { log.push_back(line); },
        .checkpoint = [&] { checkpoints.push_back(model.learned()); }};
    result = run_training(model.network, *model.executor, data, recipe, hooks);
  }
  std::vector<double> losses() const {
    std::vector<double> out;
    for (const Json& line : steps) out.push_back(line["loss"]);
    return out;
  }
};

LoopData only_train(std::int64_t images = 30) { return {coloured(images), nullptr, kAsTheyAre}; }
LoopData with_validation() { return {coloured(30), coloured(24, 100), kAsTheyAre}; }

}  // namespace

TEST_CASE("training lowers the loss, and says what it does") {
  Run run;
  run.run(small_recipe(), with_validation());
  CHECK(run.result.loss < 0.3 * run.losses().front());
  CHECK(run.result.accuracy > 0.9);
  CHECK(run.result.validation.accuracy() > 0.9);
  CHECK(run.result.validation.total == 24);
  CHECK_FALSE(run.result.interrupted);
  CHECK(run.result.steps == 20);  // 30 images are 4 batches of up to 8
  CHECK(run.result.epochs == 5);
  CHECK(run.result.images == 150);
  CHECK(run.result.seconds > 0);

  REQUIRE(run.steps.size() == 20);
  REQUIRE(run.epochs.size() == 5);
  CHECK(run.steps[4]["step"] == 5);
  CHECK(run.steps[4]["epoch"] == 2);
  CHECK(run.steps[4]["learning_rate"] == 0.05);
  CHECK_FALSE(run.steps[4].contains("grad_norm"));
  const auto last = run.losses();
  const double mean = (8 * (last[16] + last[17] + last[18]) + 6 * last[19]) / 30;  // over images, not over batches
  CHECK(run.epochs[4]["train_loss"].get<double>() == doctest::Approx(mean));
  CHECK(run.epochs[4]["validation_accuracy"] == run.result.validation.accuracy());
  CHECK(run.log.size() == 5);
  CHECK(run.log[4] == has("epoch 5/5: loss 0."));
  CHECK(run.checkpoints.size() == 5);
  REQUIRE(run.result.kept_epoch > 1);
  CHECK(same(run.checkpoints[static_cast<std::size_t>(run.result.kept_epoch - 1)], run.model.learned()));
  CHECK_FALSE(same(run.checkpoints.front(), run.model.learned()));

  REQUIRE(run.progress.size() == 5 * (4 + 1));
  CHECK(run.progress[3].phase == "train");
  CHECK(run.progress[3].done == 30);
  CHECK(run.progress[3].total == 30);
  CHECK(run.progress[4].phase == "validate");
  CHECK(run.progress[4].done == 24);
  CHECK(run.progress[5].epoch == 2);
}

TEST_CASE("the same seed gives the same run, another one another") {
  Recipe recipe = small_recipe();
  recipe.loop.epochs = 2;
  const auto losses = [&](std::uint64_t seed, bool shuffle = true) {
    recipe.loop.seed = seed;
    recipe.loop.shuffle = shuffle;
    Run run;  // the network's start is not what differs
    run.run(recipe, only_train());
    return run.losses();
  };
  const auto first = losses(1);
  CHECK(first == losses(1));
  CHECK(first != losses(2));
  CHECK(first != losses(1, /*shuffle=*/false));
}

TEST_CASE("the prefix cache changes nothing but how often images are read") {
  std::vector<std::vector<double>> losses;
  for (const double gib : {2.0, 0.0, 1e-6}) {  // one image's frontier is 2 KiB: the third holds none
    CAPTURE(gib);
    Recipe recipe = small_recipe();
    recipe.machine.cache_gib = gib;
    Run run;
    const auto train = coloured(30);
    const auto validation = coloured(24, 100);
    run.run(recipe, {train, validation, kAsTheyAre});
    CHECK(run.result.cached_prefix == (gib == 2));
    CHECK(train->reads == (gib == 2 ? 30 : 150));
    CHECK(validation->reads == (gib == 2 ? 24 : 120));
    losses.push_back(run.losses());
    losses.back().push_back(run.result.validation.loss);
  }
  for (std::size_t i = 0; i < losses[0].size(); ++i) {
    CAPTURE(i);
    CHECK(losses[0][i] ==
          doctest::Approx(losses[1][i]).epsilon(1e-4));  // memory layouts differ, and so does the order of sums
    CHECK(losses[1][i] == losses[2][i]);
  }
}

TEST_CASE("images are resized and cropped once, those of training and of validation") {
  const Preprocessing smaller{.resize = 7, .crop = 5};  // done twice, it would enlarge what it has cropped
  const auto run = [](const LoopData& data) {
    Run trained;
    trained.run(small_recipe(), data);
    auto out = trained.losses();
    out.push_back(trained.result.validation.loss);
    return out;
  };
  Preprocessing done = smaller;
  done.resize = 0;
  CHECK(run({coloured(30), coloured(24, 100), smaller}) ==
        run({prepared(coloured(30), smaller), prepared(coloured(24, 100), smaller), done}));
}

TEST_CASE("random images are new in each epoch, or K views that are kept") {
  Recipe recipe = small_recipe();
  recipe.data.augmentation.crop_padding = 2;
  recipe.loop.shuffle = false;
  recipe.optimizer.learning_rate = 0;  // only the images differ from epoch to epoch
  const auto run = [&](std::int64_t views, double cache_gib, std::int64_t reads) {
    CAPTURE(views);
    recipe.data.cache_views = views;
    recipe.machine.cache_gib = recipe.machine.cache_disk_gib = cache_gib;
    Run trained;
    const auto train = coloured(30);
    const auto validation = coloured(24, 100);
    trained.run(recipe, {train, validation, kAsTheyAre});
    CHECK(trained.result.cached_prefix == (views > 0 && views < 5 && cache_gib > 0));
    CHECK(train->reads == reads);
    CHECK(validation->reads == (cache_gib > 0 ? 24 : 120));  // without chance, whatever training does
    std::vector<double> out;
    for (const Json& epoch : trained.epochs) out.push_back(epoch["train_loss"]);
    REQUIRE(out.size() == 5);
    return out;
  };
  const auto distinct = [](std::vector<double> losses) {
    return std::set<double>(losses.begin(), losses.end()).size();
  };
  const auto fresh = run(0, 2, 150);
  CHECK(distinct(fresh) == 5);
  CHECK(run(5, 2, 150) == fresh);  // no view comes twice: nothing to keep

  const auto kept = run(2, 2, 60);
  const auto drawn_again = run(2, 0, 150);
  for (std::size_t i = 0; i < 5; ++i) {
    CHECK(kept[i] == doctest::Approx(fresh[i % 2]).epsilon(1e-5));
    CHECK(drawn_again[i] == fresh[i % 2]);
  }
  CHECK(kept[3] == kept[1]);
}

TEST_CASE("there is no cache where it cannot help, or images have no fixed size") {
  Recipe recipe = small_recipe();
  const auto cached = [&](const LoopData& data) {
    Run run;
    run.run(recipe, data);
    return run.result.cached_prefix;
  };
  CHECK_FALSE(cached({coloured(30), nullptr, Preprocessing{}}));
  recipe.loop.max_steps = 4;
  CHECK_FALSE(cached(only_train()));
  recipe.loop.max_steps = 5;
  CHECK(cached(only_train()));
  recipe.loop.max_steps = 0;
  recipe.loop.epochs = 1;
  CHECK_FALSE(cached(only_train()));
}

TEST_CASE("max_steps ends training, and the schedule with it") {
  Recipe recipe = small_recipe();
  recipe.loop.max_steps = 6;
  recipe.optimizer.schedule = ScheduleKind::kOneCycle;
  recipe.optimizer.warmup = 0.5;
  Run run;
  run.run(recipe, only_train());
  CHECK(run.result.steps == 6);
  CHECK(run.result.epochs == 2);
  CHECK(run.result.images == 30 + 16);
  CHECK(run.epochs.size() == 2);
  CHECK(run.checkpoints.size() == 2);
  CHECK(run.steps[2]["learning_rate"].get<double>() == doctest::Approx(0.05));
  CHECK(run.steps[5]["learning_rate"].get<double>() == doctest::Approx(0.05 / 25 / 1e4));
  recipe.loop.max_steps = 100;
  Run all;
  all.run(recipe, only_train());
  CHECK(all.result.steps == 20);
}

TEST_CASE("early stop ends when nothing gets better, and keeps the best epoch") {
  Recipe recipe = small_recipe();
  recipe.loop.epochs = 40;
  recipe.loop.early_stop = 3;
  Run run;
  run.run(recipe, with_validation());
  std::vector<double> accuracies;
  for (const Json& line : run.epochs) accuracies.push_back(line["validation_accuracy"]);
  const auto best = std::max_element(accuracies.begin(), accuracies.end());  // the first of the best
  const auto first = static_cast<std::size_t>(best - accuracies.begin());
  REQUIRE(accuracies.size() < 40);
  CHECK(accuracies.size() == first + 1 + 3);
  std::size_t at = first;  // the lowest loss among the best
  for (std::size_t i = first; i < accuracies.size(); ++i) {
    if (accuracies[i] == *best && run.epochs[i]["validation_loss"] < run.epochs[at]["validation_loss"]) at = i;
  }
  CHECK(run.result.epochs == static_cast<std::int64_t>(accuracies.size()));
  CHECK(run.result.validation.accuracy() == *best);
  CHECK(same(run.model.learned(), run.checkpoints[at]));
  CHECK(run.log.back() == "stopped early: no improvement in validation accuracy in 3 epochs; the best epoch is kept");
}

TEST_CASE("any metric chooses the epoch, and `last` keeps the last") {
  const auto kept = [](BestEpoch best) {
    Recipe recipe = small_recipe();
    recipe.loop.epochs = 8;
    recipe.optimizer.learning_rate = 0.3;  // the loss goes up and down
    recipe.loop.best = best;
    auto run = std::make_unique<Run>();
    run->run(recipe, with_validation());
    REQUIRE(run->checkpoints.size() == 8);
    CHECK(same(run->model.learned(), run->checkpoints[static_cast<std::size_t>(run->result.kept_epoch - 1)]));
    return run;
  };
  const auto by_loss = kept(BestEpoch::kLoss);
  std::vector<double> losses;
  for (const Json& line : by_loss->epochs) losses.push_back(line["validation_loss"]);
  const auto best = std::min_element(losses.begin(), losses.end());
  CHECK(by_loss->result.kept_epoch == best - losses.begin() + 1);
  CHECK(by_loss->result.validation.loss == *best);
  CHECK(by_loss->result.kept_epoch < 8);
  const auto last = kept(BestEpoch::kLast);
  CHECK(last->result.kept_epoch == 8);
  CHECK(last->result.validation.loss == losses.back());
  kept(BestEpoch::kMacroF1);
  kept(BestEpoch::kCalibrationError);
}

TEST_CASE("the progress callback interrupts, in training and in validation") {
  Run run;
  run.go_on = [&](const TrainProgress&) { return run.progress.size() < 6; };
  run.run(small_recipe(), only_train());
  CHECK(run.result.interrupted);
  CHECK(run.result.steps == 6);
  CHECK(run.result.epochs == 1);
  CHECK(run.epochs.size() == 1);
  CHECK(run.checkpoints.size() == 2);  // of the epoch and of the interruption

  Run validating;
  validating.go_on = [](const TrainProgress& now) { return now.phase == "train"; };
  validating.run(small_recipe(), with_validation());
  CHECK(validating.result.interrupted);
  CHECK(validating.result.steps == 4);
  CHECK(validating.epochs.empty());
  CHECK(validating.result.validation.total == 0);
}

TEST_CASE("a loss that is not finite is an Error that says where") {
  Run run;
  const auto spoil = [&](const TrainProgress& now) {
    const at::NoGradGuard no_grad;
    if (now.done == 16) run.model.network.trainable().back().second.fill_(std::numeric_limits<float>::quiet_NaN());
    return true;
  };
  run.go_on = spoil;
  CHECK(refusal([&] { run.run(small_recipe(), only_train()); }) ==
        "training: got a loss of nan at step 3, expected a finite one. Lower learning_rate, or set clip_grad_norm.");
  CHECK(run.steps.size() == 2);
  Run damaged;
  {
    const at::NoGradGuard no_grad;
    damaged.model.network.trainable().back().second.fill_(std::numeric_limits<float>::quiet_NaN());
  }
  CHECK(refusal([&] { damaged.run(small_recipe(), only_train()); }) ==
        has("training: got a loss of nan at step 1, before anything was learned"));
}

TEST_CASE("what diverged in an epoch's last step is no checkpoint") {
  const auto spoil_after = [](Run& run, std::int64_t images) {
    run.go_on = [&run, images](const TrainProgress& now) {
      const at::NoGradGuard no_grad;
      if (now.phase == "train" && now.done == images) run.model.network.trainable().front().second.fill_(INFINITY);
      return true;
    };
  };
  Recipe recipe = small_recipe();
  recipe.loop.epochs = 1;
  Run alone;
  spoil_after(alone, 30);
  const std::string found = refusal([&] { alone.run(recipe, only_train()); });
  CHECK(found == has("training: got NaN or infinity in conv2.lora_A.weight after step 4"));
  CHECK(alone.checkpoints.empty());
  Run judged;
  spoil_after(judged, 30);
  CHECK(refusal([&] { judged.run(recipe, with_validation()); }) == has("evaluation: got a loss of"));
  CHECK(judged.checkpoints.empty());
  // Interrupted, with nothing to judge it by.
  Run stopped;
  stopped.go_on = [&](const TrainProgress& now) {
    const at::NoGradGuard no_grad;
    stopped.model.network.trainable().front().second.fill_(INFINITY);
    return now.done < 8;
  };
  CHECK(refusal([&] { stopped.run(recipe, only_train()); }) == has("after step 1"));
}

TEST_CASE("label smoothing and clipping act on training alone") {
  Recipe recipe = small_recipe();
  recipe.loop.epochs = 1;
  recipe.optimizer.learning_rate = 0;  // so that training and validation see the same network
  recipe.optimizer.clip_grad_norm = 0.5;
  const auto train = coloured(30);
  for (const double smoothing : {0.0, 0.3}) {
    recipe.loop.label_smoothing = smoothing;
    Run run;
    const auto before = run.model.learned();
    run.run(recipe, {train, train, kAsTheyAre});
    CHECK(same(run.model.learned(), before));
    CHECK(run.steps[0]["grad_norm"].get<double>() > 0);
    CHECK((run.result.loss == doctest::Approx(run.result.validation.loss).epsilon(1e-5)) == (smoothing == 0));
    CHECK(run.result.accuracy == run.result.validation.accuracy());
  }
}
