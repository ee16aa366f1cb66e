// Options set in code have the same ranges as those read from a recipe.
#include "lorikeet/training_options.h"

#include <doctest/doctest.h>

#include <cmath>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "refusal.h"
#include "train/recipe.h"

using namespace lorikeet;

namespace {

TrainingOptions least() {
  TrainingOptions out;
  out.data.name = "mnist";
  return out;
}

}  // namespace

TEST_CASE("default options need only data") {
  least().check();
  CHECK(refusal<UsageError>([] { TrainingOptions{}.check(); }) ==
        "data: got nothing, expected the name of a dataset or a folder, e.g. data=mnist.");
}

TEST_CASE("each option out of its range is refused by its key") {
  const std::vector<std::pair<std::function<void(TrainingOptions&)>, std::string>> cases{
      {[](auto& o) { o.data.image_size = -1; }, "image_size: got -1, expected an integer from 0 to 4096."},
      {[](auto& o) { o.data.image_size = 15; }, "image_size: got 15, expected at least 16, or 0 for the size of"},
      {[](auto& o) {
         o.data.augmentation.resized_crop = {0.5, 0.4};
       },
       "random_resized_crop: got 0.5, expected"},
      {[](auto& o) {
         o.data.augmentation.resized_crop = {0, 1};
       },
       "random_resized_crop: got 0, expected"},
      {[](auto& o) { o.data.augmentation.crop_padding = -1; }, "random_crop_padding: got -1"},
      {[](auto& o) { o.data.augmentation.horizontal_flip = 1.1; }, "random_horizontal_flip: got 1.1"},
      {[](auto& o) {
         o.data.augmentation.rand_augment = {15, 9};
       },
       "rand_augment: got 15, expected an integer from 0 to 14."},
      {[](auto& o) {
         o.data.augmentation.rand_augment = {2, 31};
       },
       "rand_augment: got 31, expected an integer from 0 to 30."},
      {[](auto& o) {
         o.data.augmentation.rand_augment = {2, 9};
         o.data.augmentation.trivial_augment_wide = true;
       },
       "trivial_augment_wide: got true with rand_augment, expected one of the two."},
      {[](auto& o) { o.data.augmentation.color_jitter[1] = -1; }, "color_jitter: got -1"},
      {[](auto& o) { o.data.augmentation.color_jitter[3] = 0.6; },
       "color_jitter: got 0.6, expected a number from 0 to 0.5."},
      {[](auto& o) { o.data.augmentation.random_erasing = 2; }, "random_erasing: got 2"},
      {[](auto& o) { o.data.augmentation.mixup_alpha = 5; }, "mixup_alpha: got 5"},
      {[](auto& o) { o.data.augmentation.cutmix_alpha = -1; }, "cutmix_alpha: got -1"},
      {[](auto& o) {
         o.data.augmentation.cutmix_alpha = 1;
         o.data.cache_views = 2;
       },
       "cache_views: got 2 with cutmix_alpha, expected 0"},
      {[](auto& o) { o.loop.class_weights = {.balanced = true, .values = {1}}; },
       "class_weights: got balanced and weights"},
      {[](auto& o) {
         o.loop.class_weights = {.values = {1, -1}};
       },
       "class_weights: got -1, expected a number from 0"},
      {[](auto& o) {
         o.loop.class_weights = {.values = {0, 0}};
       },
       "class_weights: got only zeros, expected a weight above 0."},
      {[](auto& o) {
         o.loop.sampling = Sampling::kBalanced;
         o.loop.shuffle = false;
       },
       "sampling: got balanced with shuffle: false"},
      {[](auto& o) { o.data.cache_views = 2; }, "cache_views: got 2 without random_resized_crop"},
      {[](auto& o) { o.data.train_limit = -1; }, "train_limit: got -1"},
      {[](auto& o) { o.data.test_limit = -1; }, "test_limit: got -1"},
      {[](auto& o) { o.data.validation = -1; }, "validation: got -1"},
      {[](auto& o) { o.optimizer.learning_rate = -1; }, "learning_rate: got -1, expected a number from 0 to 1000."},
      {[](auto& o) { o.optimizer.learning_rate = std::nan(""); }, "learning_rate: got nan"},
      {[](auto& o) { o.optimizer.weight_decay = -1; }, "weight_decay: got -1"},
      {[](auto& o) { o.optimizer.betas[1] = 1; }, "betas: got 1"},
      {[](auto& o) { o.optimizer.eps = 0; }, "eps: got 0"},
      {[](auto& o) { o.optimizer.momentum = 1; }, "momentum: got 1"},
      {[](auto& o) {
         o.optimizer.momentum = 0;
         o.optimizer.nesterov = true;
       },
       "nesterov: got true with momentum 0, expected a momentum above 0."},
      {[](auto& o) { o.optimizer.warmup = 1; }, "warmup: got 1"},
      {[](auto& o) { o.optimizer.clip_grad_norm = -1; }, "clip_grad_norm: got -1"},
      {[](auto& o) { o.loop.epochs = 0; }, "epochs: got 0, expected an integer from 1 to 1000000."},
      {[](auto& o) { o.loop.max_steps = -1; }, "max_steps: got -1"},
      {[](auto& o) { o.loop.batch_size = 0; }, "batch_size: got 0, expected an integer from 1 to 65536."},
      {[](auto& o) { o.loop.label_smoothing = 1; }, "label_smoothing: got 1"},
      {[](auto& o) {
         o.loop.early_stop = 1;
         o.loop.best = BestEpoch::kLast;
       },
       "early_stop: got 1 with best: last"},
      {[](auto& o) { o.loop.early_stop = -1; }, "early_stop: got -1"},
      {[](auto& o) { o.loop.seed = ~std::uint64_t{0}; }, "seed: got 18446744073709551615"},
      {[](auto& o) { o.machine.threads = 1025; }, "threads: got 1025"},
      {[](auto& o) { o.machine.cache_gib = -1; }, "cache_gib: got -1"},
      {[](auto& o) { o.machine.cache_disk_gib = 1025; }, "cache_disk_gib: got 1025"},
      {[](auto& o) {
         o.machine.precision = Precision::kInt8;
         o.machine.device = Device::kCuda;
       },
       "precision: got int8 with device: cuda, expected device: cpu and engine: fused."},
      {[](auto& o) {
         o.machine.precision = Precision::kInt8;
         o.machine.engine = EngineKind::kPlain;
       },
       "precision: got int8 with engine: plain"},
  };
  for (const auto& [change, message] : cases) {
    TrainingOptions options = least();
    change(options);
    const std::string found = refusal<UsageError>([&] { options.check(); });
    CAPTURE(message);
    CHECK(found.starts_with(message));
  }
}

TEST_CASE("an adaptation that learns nothing, or has an impossible head, is refused") {
  AdaptationOptions options;
  CHECK(refusal<UsageError>([&] { options.check(); }) == has("expected something to train."));
  options.head = {0};
  CHECK(refusal<UsageError>([&] { options.check(); }) == has("head: got 0, expected widths from 1 to 1048576."));
  options.head = std::vector<std::int64_t>(65, 1);
  CHECK(refusal<UsageError>([&] { options.check(); }) == has("head: got 65 widths, expected at most 64."));
  options.head = std::vector<std::int64_t>{};
  options.check();
  for (const PeftType type :
       {PeftType::kLoha, PeftType::kLokr, PeftType::kIa3, PeftType::kLnTuning, PeftType::kHira, PeftType::kOft,
        PeftType::kBoft, PeftType::kFourierFt, PeftType::kVera, PeftType::kUniLora}) {
    options.config.peft_type = type;
    CHECK(refusal<UsageError>([&] { options.check(); }) ==
          has("peft_type: got " + name_of(type) + " without target_modules, expected the layers to adapt"));
  }
  options.config.peft_type = PeftType::kLora;
  options.config.use_dora = true;
  CHECK(refusal<UsageError>([&] { options.check(); }) == has("use_dora: got true without target_modules"));
}

TEST_CASE("automatic choices are made once") {
  Recipe recipe;
  recipe.machine.precision = Precision::kAuto;
  recipe.machine.device = Device::kCuda;
  recipe.optimizer.schedule = ScheduleKind::kOneCycle;
  const Recipe first = resolved(recipe);
  CHECK((first.machine.precision == Precision::kBFloat16));
  CHECK(first.optimizer.warmup == 0.3);
  recipe.optimizer.warmup = 0.1;
  CHECK(resolved(recipe).optimizer.warmup == 0.1);
}
