#include <ATen/Parallel.h>
#include <doctest/doctest.h>

#include <cmath>
#include <functional>

#include "api/fixture.h"
#include "refusal.h"

using namespace lorikeet;
namespace fs = std::filesystem;

namespace {

// A copy of the images of which one is damaged.
void damage(const fs::path& images) {
  fs::copy(Fixture::get().images(), images, fs::copy_options::recursive);
  put(images / "train/red/5.png", "\x89PNG\r\n\x1a\n");
}

}  // namespace

TEST_CASE("train learns, and reports what it did") {
  const Fixture& fixture = Fixture::get();
  Model model = fixture.adapted();
  const auto before = model.logits(fixture.test_images());
  std::vector<std::string> phases;
  std::vector<std::string> log;
  const TrainReport report =
      model.train(fixture.training(), {.progress =
                                           [&](const TrainProgress& progress) {
                                             phases.push_back(progress.phase);
                                             return true;
                                           },
                                       .log = [&](const std::string& line) { log.push_back(line); }});
  CHECK_FALSE(report.interrupted);
  CHECK(report.epochs == 2);
  CHECK(report.steps == 8);
  CHECK(report.images == 32);
  CHECK(report.seconds > 0);
  CHECK(std::isfinite(report.loss));
  CHECK(report.validation.total == 0);
  CHECK(phases == std::vector<std::string>(8, "train"));
  CHECK(model.logits(fixture.test_images()).values != before.values);
  CHECK(model.trained_on() == fixture.images().string());
  CHECK(model.evaluate(fixture.images().string()).accuracy() == 1);
}

TEST_CASE("train: what a recipe can say") {
  const Fixture& fixture = Fixture::get();
  Model model = fixture.adapted();
  TrainingOptions options = fixture.training();
  options.data.validation = 4;
  options.data.augmentation.horizontal_flip = 0.5;
  options.optimizer.kind = OptimizerKind::kSgd;
  options.optimizer.schedule = ScheduleKind::kOneCycle;
  options.loop.max_steps = 5;
  options.loop.label_smoothing = 0.1;
  options.machine.threads = 1;
  options.machine.engine = EngineKind::kPlain;
  const int threads = at::get_num_threads();
  const TrainReport report = model.train(options);
  CHECK(report.steps == 5);
  CHECK(report.validation.total == 4);
  CHECK(at::get_num_threads() == threads);
}

TEST_CASE("train: the model keeps the precision; int8 is saved with its ranges") {
  const Fixture& fixture = Fixture::get();
  const TemporaryFolder folder;
  for (const Precision precision : {Precision::kBFloat16, Precision::kInt8}) {
    Model model = fixture.adapted();
    TrainingOptions options = fixture.training();
    options.machine.precision = precision;
    model.train(options);
    CHECK(model.precision() == precision);
    model.save(folder.path / "adapter");
    Model loaded = load((folder.path / "adapter").string(), {.weights = fixture.weights()});
    CHECK(loaded.precision() == precision);
    CHECK(loaded.logits(fixture.test_images()).values == model.logits(fixture.test_images()).values);
  }
  // Trained further in float32.
  Model again = load((folder.path / "adapter").string(), {.weights = fixture.weights()});
  again.train(fixture.training());
  CHECK(again.precision() == Precision::kFloat32);
}

TEST_CASE("train refuses options, and leaves the model as it was") {
  const Fixture& fixture = Fixture::get();
  Model model = fixture.adapted();
  const auto before = model.logits(fixture.test_images(), Preprocess::kNormalise);
  const auto refused = [&](const std::function<void(TrainingOptions&)>& change) {
    TrainingOptions options = fixture.training();
    change(options);
    return refusal<UsageError>([&] { model.train(options); });
  };
  CHECK(refused([](auto& o) { o.data.name = ""; }) == has("data: got nothing"));
  CHECK(refused([](auto& o) { o.loop.batch_size = 0; }) == has("batch_size: got 0"));
  CHECK(refused([](auto& o) { o.loop.batch_size = -1; }) == has("batch_size: got -1"));
  CHECK(refused([](auto& o) { o.loop.epochs = 0; }) == has("epochs: got 0"));
  CHECK(refused([](auto& o) { o.loop.epochs = -1; }) == has("epochs: got -1"));
  CHECK(refused([](auto& o) { o.optimizer.learning_rate = -1; }) == has("learning_rate: got -1"));
  CHECK(refused([](auto& o) { o.optimizer.learning_rate = NAN; }) == has("learning_rate: got nan"));
  CHECK(refused([](auto& o) { o.data.image_size = -1; }) == has("image_size: got -1"));
  CHECK(refused([](auto& o) { o.loop.early_stop = 1; }) == has("early_stop: got 1"));
  CHECK(refused([](auto& o) { o.data.validation = 16; }) == has("validation: got 16"));
  CHECK(refused([](auto& o) { o.machine.threads = -1; }) == has("threads: got -1"));
  CHECK(refusal([&] { model.train({.data = {.name = "/nonexistent/photos"}}); }) == has("/nonexistent/photos"));
  CHECK(model.logits(fixture.test_images(), Preprocess::kNormalise).values == before.values);
  Model base = fixture.base();
  CHECK(refusal<UsageError>([&] { base.train(fixture.training()); }) == has("train: got resnet18 without an adapter"));
}

TEST_CASE("train refuses data of other classes") {
  const Fixture& fixture = Fixture::get();
  const TemporaryFolder folder;
  fs::copy(fixture.images(), folder.path / "images", fs::copy_options::recursive);
  for (const auto split : {"train", "test"}) {
    fs::create_directories(folder.path / "images" / split / "white");
    fs::copy(fixture.image(0), folder.path / "images" / split / "white/0.png");
  }
  Model model = fixture.adapted();
  TrainingOptions options = fixture.training();
  options.data.name = (folder.path / "images").string();
  CHECK(refusal([&] { model.train(options); }) == has("expected"));
}

TEST_CASE("train refuses what takes more memory than there is, and leaves the model as it was") {
  const Fixture& fixture = Fixture::get();
  const TemporaryFolder folder;
  constexpr int kImages = 1000;  // of each class: terabytes in one batch
  for (const auto label : {"red", "blue"}) {
    fs::create_directories(folder.path / "train" / label);
    for (int i = 0; i < kImages; ++i)
      fs::create_symlink(fixture.images() / "train" / label / "0.png",
                         folder.path / "train" / label / (std::to_string(i) + ".png"));
  }
  Model model = fixture.trained();
  const auto before = model.logits(fixture.test_images());
  TrainingOptions options = fixture.training();
  options.data.name = folder.path.string();
  options.data.image_size = 4096;
  options.loop.batch_size = 2 * kImages;
  const std::string refused = refusal<UsageError>([&] { model.train(options); });
  CHECK(refused == has("batch_size: got 2000, which needs about"));
  CHECK(refused == has("TiB of memory"));
  CHECK(model.logits(fixture.test_images()).values == before.values);
  CHECK(model.trained_on() == fixture.images().filename().string());
}

TEST_CASE("a training that fails midway leaves the model as it was") {
  const Fixture& fixture = Fixture::get();
  const TemporaryFolder folder;
  damage(folder.path / "images");
  Model model = fixture.trained();
  const auto before = model.logits(fixture.test_images());
  const auto unchanged = [&] {
    CHECK(model.logits(fixture.test_images()).values == before.values);
    CHECK(model.trained_on() == fixture.images().filename().string());
    CHECK(model.precision() == Precision::kFloat32);
  };
  TrainingOptions options = fixture.training();
  options.data.name = (folder.path / "images").string();
  options.data.image_size = 48;
  options.machine.precision = Precision::kBFloat16;
  CHECK(refusal([&] { model.train(options); }) == has("train/red/5.png"));
  unchanged();

  struct Own {};
  options = fixture.training();
  std::int64_t calls = 0;
  CHECK_THROWS_AS(model.train(options, {.progress = [&](const TrainProgress&) -> bool {
                                if (++calls == 3) throw Own();
                                return true;
                              }}),
                  Own);
  CHECK(calls == 3);
  unchanged();

  options.optimizer.kind = OptimizerKind::kSgd;
  options.optimizer.learning_rate = 1e3;  // diverges
  options.optimizer.momentum = 0;
  options.loop.epochs = 50;
  CHECK(refusal([&] { model.train(options); }) == has("loss"));
  unchanged();

  model.train(fixture.training());  // and can still be trained
}

TEST_CASE("a training that a callback stops keeps what it has") {
  const Fixture& fixture = Fixture::get();
  Model model = fixture.trained();
  const auto before = model.logits(fixture.test_images());
  const TrainReport report =
      model.train(fixture.training(), {.progress = [](const TrainProgress& progress) { return progress.done < 8; }});
  CHECK(report.interrupted);
  CHECK(report.steps == 2);
  CHECK(model.logits(fixture.test_images()).values != before.values);
}

TEST_CASE("train_recipe trains into a folder") {
  const Fixture& fixture = Fixture::get();
  const TemporaryFolder folder;
  put(folder.path / "recipe.yaml",
      "model: resnet18\nweights: " + fixture.weights().string() + "\ndata: " + fixture.images().string() +
          "\nimage_size: 32\ntarget_modules: 'layer4\\.1\\.conv[12]'\nr: 2\nmodules_to_save: [fc]\n"
          "replace_output: true\nlearning_rate: 1e-2\nbatch_size: 4\n");
  const std::string run = (folder.path / "run").string();
  std::vector<std::string> log;
  const RunReport report = train_recipe({.recipe = folder.path / "recipe.yaml",
                                         .overrides = {"epochs=2", "run=" + run},
                                         .callbacks = {.log = [&](const std::string& line) { log.push_back(line); }}});
  CHECK(report.training.steps == 8);
  CHECK_FALSE(report.training.interrupted);
  CHECK(report.test.total == 6);
  CHECK(report.run == run);
  CHECK(report.trainable_parameters == fixture.trained().trainable_parameters());
  CHECK(report.total_parameters > 11'000'000);
  CHECK(report.summary == has("\"steps\": 8"));
  CHECK(!log.empty());
  Model loaded = load(run, {.weights = fixture.weights()});
  CHECK(loaded.evaluate(fixture.images().string()).correct == report.test.correct);

  const auto refused = [&](const std::vector<std::string>& overrides, const fs::path& recipe = {}) {
    return refusal([&] {
      train_recipe({.recipe = recipe.empty() ? folder.path / "recipe.yaml" : recipe, .overrides = overrides});
    });
  };
  CHECK(refused({}) == has("run: got nothing"));
  CHECK(refused({"run=" + run}) == has(run));  // is there already
  CHECK(refused({"run=" + run + "2", "batch_size=0"}) == has("batch_size: got '0'"));
  CHECK(refused({"run=" + run + "2", "epoch=1"}) == has("Did you mean 'epochs'?"));
  CHECK(refused({"run=" + run + "2"}, "/nonexistent.yaml") == has("/nonexistent.yaml"));
  CHECK_FALSE(fs::exists(run + "2"));
}
