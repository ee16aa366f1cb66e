// A run that stops after any step and continues from its state in new objects is bit-identical to one that never
// stopped.
#include "train/session.h"

#include <ATen/Functions.h>
#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <vector>

#include "engine/tensor_type.h"
#include "refusal.h"
#include "temporary_folder.h"
#include "train/caching.h"
#include "train/small_model.h"
#include "train/training_executor.h"

using namespace lorikeet;

namespace {

// A session with all that it needs.
struct Trial {
  TrainingOptions options = small_recipe();
  AdapterSpec spec = SmallModel::spec();
  LoopData data{coloured(30), coloured(24, 100), kAsTheyAre};

  Trial() { options.machine.engine = EngineKind::kPlain; }
};

class Trainee {
 public:
  explicit Trainee(const Trial& trial, const TrainingState* state = nullptr, SessionOptions session = {},
                   std::uint64_t seed = 0)
      : adaptation_(SmallModel::adapted(trial.spec)),
        network_(adaptation_, SmallModel::weights(SmallModel::adapted().graph), seed) {
    const Plan plan = state != nullptr ? state->plan
                                       : plan_training(network_, trial.options, trial.data.preprocessing,
                                                       trial.data.train->size(), trial.data.validation->size());
    const bool has_ranges = state != nullptr && trial.options.machine.precision == Precision::kInt8;
    const ExecutorOptions options{.precision = activation_type(trial.options.machine.precision), .plan = plan};
    executor_ = has_ranges ? make_int8_executor(network_, options, state->activation_ranges)
                           : make_training_executor(network_, trial.options.machine, options, trial.data);
    session.state = state;
    session_.emplace(network_, *executor_, trial.data, trial.options,
                     LoopHooks{.progress = {},
                               .metrics =
                                   [this](const Json& line) {
                                     lines_.push_back(line);
                                     lines_.back().erase("seconds");
                                   }},
                     session);
  }
  Trainee(const Trainee&) = delete;

  TrainingSession& session() { return *session_; }
  const std::vector<Json>& lines() const { return lines_; }
  std::vector<at::Tensor> learned() const {
    std::vector<at::Tensor> out;
    for (const auto& [name, tensor] : network_.state_tensors()) out.push_back(tensor.detach().clone());
    return out;
  }
  TrainReport finish() {
    while (session_->advance()) {
    }
    return session_->finish();
  }

 private:
  Adaptation adaptation_;
  Network network_;
  std::unique_ptr<Executor> executor_;
  std::vector<Json> lines_;
  std::optional<TrainingSession> session_;
};

// The state by way of text and named tensors.
TrainingState carried(const TrainingState& state) {
  SerializedState serialized = serialize(state);
  SerializedState copy{Json::parse(serialized.json.dump()), {}};
  for (const auto& [name, tensor] : serialized.tensors) copy.tensors.add(name, tensor.clone());
  return parse_training_state(copy, "state");
}

// Stops after each step and each epoch's end.
void check_every_stop(const Trial& trial) {
  at::set_num_threads(1);
  Trainee straight(trial);
  std::vector<TrainingState> states{straight.session().state()};
  std::vector<std::size_t> said{0};
  while (straight.session().advance()) {
    states.push_back(straight.session().state());
    said.push_back(straight.lines().size());
  }
  const TrainReport expected = straight.session().finish();
  REQUIRE(states.size() > 10);
  for (std::size_t i = 0; i < states.size(); ++i) {
    CAPTURE(i);
    CAPTURE(states[i].step);
    CAPTURE(states[i].epoch);
    CAPTURE(states[i].batch);
    const TrainingState state = carried(states[i]);
    Trainee resumed(trial, &state, {}, /*seed=*/12345);  // another start
    const TrainReport result = resumed.finish();
    CHECK(same(resumed.learned(), straight.learned()));
    CHECK(std::vector<Json>(straight.lines().begin() + said[i], straight.lines().end()) == resumed.lines());
    CHECK(result.steps == expected.steps);
    CHECK(result.epochs == expected.epochs);
    CHECK(result.images == expected.images);
    CHECK(result.loss == expected.loss);
    CHECK(result.accuracy == expected.accuracy);
    CHECK(result.validation.correct == expected.validation.correct);
    CHECK(result.validation.loss == expected.validation.loss);
    CHECK(result.cached_prefix == expected.cached_prefix);
    CHECK(result.seconds > 0);
  }
}

Trial with_everything() {
  Trial trial;
  trial.spec.config.lora_dropout = 0.3;
  trial.options.data.augmentation = {.crop_padding = 2, .horizontal_flip = 0.5};
  trial.options.data.cache_views = 2;
  trial.options.loop.epochs = 6;
  trial.options.loop.early_stop = 2;
  trial.options.loop.label_smoothing = 0.1;
  trial.options.loop.seed = 7;
  trial.options.optimizer.kind = OptimizerKind::kSgd;
  trial.options.optimizer.learning_rate = 0.1;
  trial.options.optimizer.nesterov = true;
  trial.options.optimizer.schedule = ScheduleKind::kCosine;
  trial.options.optimizer.clip_grad_norm = 0.5;
  return trial;
}

}  // namespace

TEST_CASE("a run goes on from its state after any step: momentum, clipping, dropout, cached random views, early stop") {
  Trial trial = with_everything();
  check_every_stop(trial);
  trial.options.machine.engine = EngineKind::kFused;
  check_every_stop(trial);
}

TEST_CASE("… with AdamW, new random views each epoch, and the last epoch cut short") {
  Trial trial = with_everything();
  trial.options.optimizer = {.schedule = ScheduleKind::kOneCycle, .warmup = 0.3};
  trial.options.data.cache_views = 0;
  trial.options.loop.early_stop = 0;
  trial.options.loop.max_steps = 14;
  check_every_stop(trial);
}

TEST_CASE("… with the cache in a file, a start that belongs to the state, and DoRA") {
  const TemporaryFolder folder;
  Trial trial = with_everything();
  trial.options.machine.cache_gib = 0;
  trial.options.machine.cache_folder = folder.path;
  trial.spec.config.init_lora_weights = LoraStart::kPissa;
  check_every_stop(trial);
  trial.spec.config.init_lora_weights = LoraStart::kDefault;
  trial.spec.config.use_dora = true;
  trial.options.machine.engine = EngineKind::kFused;
  check_every_stop(trial);
}

TEST_CASE("… with mixed images, class weights and the other random transforms") {
  Trial trial = with_everything();
  trial.options.data.augmentation = {.horizontal_flip = 0.5,
                                     .trivial_augment_wide = true,
                                     .color_jitter = {0.3, 0.3, 0.3, 0.1},
                                     .random_erasing = 0.5,
                                     .mixup_alpha = 0.4,
                                     .cutmix_alpha = 1};
  trial.options.data.cache_views = 0;
  trial.options.loop.class_weights.balanced = true;
  trial.options.loop.epochs = 3;
  trial.options.loop.early_stop = 0;
  check_every_stop(trial);
}

TEST_CASE("… with balanced sampling, whose cache is completed within an epoch") {
  // 20 images of class 0 and 4 of class 1: an epoch draws 12 of the 20.
  std::vector<std::int64_t> skewed;
  for (std::int64_t i = 0; skewed.size() < 20; i += kClasses) skewed.push_back(i);
  for (std::int64_t i = 1; skewed.size() < 24; i += kClasses) skewed.push_back(i);
  Trial trial = with_everything();
  trial.data.train = subset(coloured(20 * kClasses), skewed);
  trial.options.data.augmentation = {};
  trial.options.data.cache_views = 0;
  trial.options.loop.sampling = Sampling::kBalanced;
  trial.options.loop.epochs = 9;
  trial.options.loop.early_stop = 0;
  trial.options.machine.engine = EngineKind::kFused;
  check_every_stop(trial);
}

TEST_CASE("… in int8, by the ranges in the state") {
  Trial trial = with_everything();
  trial.options.machine.engine = EngineKind::kFused;
  trial.options.machine.precision = Precision::kInt8;
  trial.options.loop.epochs = 3;
  check_every_stop(trial);
  CHECK(Trainee(trial).session().state().activation_ranges.count("relu1") == 1);
}

TEST_CASE("the state says where the run is, and what it has chosen") {
  at::set_num_threads(2);
  Trial trial = with_everything();
  trial.options.machine.threads = 1;
  {
    Trainee run(trial);
    CHECK(at::get_num_threads() == 1);
    for (int i = 0; i < 7; ++i) run.session().advance();
    const TrainingState state = run.session().state();  // 4 steps, the epoch's end, 2 steps
    CHECK(state.step == 6);
    CHECK(state.epoch == 1);
    CHECK(state.batch == 2);
    CHECK(state.images == 46);
    CHECK(state.epoch_images == 16);
    CHECK(state.threads == 1);
    CHECK((state.train_cache == CachePlace::kMemory));
    CHECK((state.validation_cache == CachePlace::kMemory));
    CHECK(state.optimizer.steps == 6);
    CHECK(state.optimizer.first.size() == 4);
    CHECK(state.best.size() == 4);
    CHECK(state.validation.total == 24);
    // A copy: what follows does not change it.
    const at::Tensor before = state.network.begin()->second.clone();
    run.session().advance();
    CHECK(at::equal(state.network.begin()->second, before));
    CHECK_FALSE(at::equal(run.session().state().network.begin()->second, before));
  }
  CHECK(at::get_num_threads() == 2);
  at::set_num_threads(1);
}

TEST_CASE("the seed governs dropout") {
  Trial trial;
  trial.spec.config.lora_dropout = 0.5;
  trial.options.loop.shuffle = false;  // only dropout depends on the seed
  const auto learned = [&](std::uint64_t seed) {
    trial.options.loop.seed = seed;
    Trainee run(trial);
    run.finish();
    return run.learned();
  };
  const auto first = learned(1);
  CHECK(same(first, learned(1)));
  CHECK_FALSE(same(first, learned(2)));
  trial.spec.config.lora_dropout = 0;
  CHECK(same(learned(1), learned(2)));
}

TEST_CASE("gradients pass through reduce_gradients, images come in the order that is given") {
  Trial trial;
  trial.options.optimizer.kind = OptimizerKind::kSgd;
  trial.options.loop.epochs = 2;
  trial.options.loop.shuffle = false;
  const auto learned = [&](SessionOptions session) {
    Trainee run(trial, nullptr, std::move(session));
    run.finish();
    return run.learned();
  };
  int calls = 0;
  const auto halved = learned({.order = {}, .reduce_gradients = [&](std::span<at::Tensor> gradients) {
                                 ++calls;
                                 CHECK(gradients.size() == 4);
                                 for (at::Tensor& gradient : gradients) gradient.mul_(0.5);
                               }});
  CHECK(calls == 8);
  CHECK_FALSE(same(halved, learned({})));
  // The decay of SGD is a part of the gradient that does not pass there.
  trial.options.optimizer.weight_decay = 0;
  const auto again = learned({.order = {}, .reduce_gradients = [](std::span<at::Tensor> gradients) {
                                for (at::Tensor& gradient : gradients) gradient.mul_(0.5);
                              }});
  trial.options.optimizer.learning_rate /= 2;
  CHECK(same(again, learned({})));

  // Every second image: the share of one of two processes.
  std::vector<std::int64_t> epochs;
  SessionOptions share;
  share.order = [&](std::int64_t epoch) {
    epochs.push_back(epoch);
    std::vector<std::int64_t> out;
    for (std::int64_t i = 0; i < 30; i += 2) out.push_back(i);
    return out;
  };
  Trainee half(trial, nullptr, share);
  const TrainReport result = half.finish();
  CHECK(result.steps == 4);
  CHECK(result.images == 30);
  CHECK(epochs.back() == 1);
}

TEST_CASE("a state of another run is refused") {
  Trial trial = with_everything();
  Trainee run(trial);
  run.session().advance();
  const TrainingState state = run.session().state();
  const auto refused = [&](const Trial& other, const TrainingState& with) {
    return refusal([&] { Trainee(other, &with); });
  };
  Trial other = trial;
  other.options.loop.seed = 8;
  CHECK(refused(other, state) == "training state: got the seed 7, expected 8, as in this run.");
  other = trial;
  other.options.loop.batch_size = 4;
  CHECK(refused(other, state) == has("got batch_size 8, expected 4"));
  other = trial;
  other.data.train = coloured(29);
  CHECK(refused(other, state) == has("got training images: 30, expected 29"));
  other = trial;
  other.options.loop.epochs = 5;
  CHECK(refused(other, state) == has("got steps: 24, expected 20"));
  other = trial;
  other.options.optimizer = {};
  CHECK(refused(other, state) == has("got an optimizer with other parameters"));
  other = trial;
  other.spec.config.r = 3;
  CHECK(refused(other, state) == has("conv2.lora_A.weight: got (2, 8, 3, 3), expected (3, 8, 3, 3)"));
  other = trial;
  other.spec.config.use_dora = true;
  CHECK(refused(other, state) == has("got a number of tensors of 4, expected 5"));
  TrainingState broken = state;
  broken.batch = 5;
  CHECK(refused(trial, broken) == has("got batch 5, expected 0 to 4"));
  broken = state;
  ++broken.step;
  CHECK(refused(trial, broken) == has("got step 2 in epoch 0 after 1 batch, expected 1"));
}

TEST_CASE("what is no state is refused") {
  Trial trial = with_everything();
  Trainee run(trial);
  run.session().advance();
  const SerializedState good = serialize(run.session().state());
  const auto refused = [&](const auto& change) {
    SerializedState bad = good;
    change(bad);
    return refusal([&] { parse_training_state(bad, "run/state.json"); });
  };
  for (const auto& [key, value] : good.json.items()) {
    CAPTURE(key);
    CHECK(refused([&](SerializedState& s) { s.json.erase(key); }).starts_with("run/state.json: "));
    CHECK(refused([&](SerializedState& s) { s.json[key] = Json::array({"x"}); }).starts_with("run/state.json: "));
  }
  CHECK(refused([](SerializedState& s) { s.json["format"] = 2; }) ==
        "run/state.json: format: got 2, expected 1. Use a newer Lorikeet.");
  CHECK(refused([](SerializedState& s) { s.json["device"] = "tpu"; }) == has("device: got an unknown value."));
  CHECK(refused([](SerializedState& s) { s.json["plan"]["frontier"] = {99}; }) == has("frontier: got node 99"));
  CHECK(refused([](SerializedState& s) { s.json = Json::array(); }) == has("got an invalid training state"));
  CHECK(refused([](SerializedState& s) { s.tensors.add("other", at::zeros({1})); }) == has("got unexpected tensors"));
}
