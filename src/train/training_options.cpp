#include "lorikeet/training_options.h"

#include "base/compute.h"
#include "base/error.h"
#include "train/ranges.h"

namespace lorikeet {
namespace {

void require(const char* key, std::int64_t value, const IntegerRange& range) {
  if (range.contains(value)) return;
  fail_usage(key, ": got ", value, ", expected an integer from ", range.least, " to ", range.greatest, ".");
}

void require(const char* key, double value, const NumberRange& range) {
  if (range.contains(value)) return;
  fail_usage(key, ": got ", value, ", expected a number from ", range.least, " to ", range.greatest, ".");
}

}  // namespace

void DataOptions::check() const {
  if (name.empty()) fail_usage("data: got nothing, expected the name of a dataset or a folder, e.g. data=mnist.");
  require("image_size", image_size, ranges::kImageSize);
  if (image_size > 0 && image_size < ranges::kLeastImageSize) {
    fail_usage("image_size: got ", image_size, ", expected at least ", ranges::kLeastImageSize,
               ", or 0 for the size of the weights' own evaluation. Smaller images are enlarged to it.");
  }
  if (image_size > 0 && preprocess == Preprocess::kNormalise) {
    fail_usage("image_size: got ", image_size, " together with preprocess=normalise, expected one of the two.");
  }
  const auto& scale = augmentation.resized_crop;
  if (scale[0] != 0 || scale[1] != 0) {
    require("random_resized_crop", scale[1], ranges::kShareOfArea);
    require("random_resized_crop", scale[0], {ranges::kShareOfArea.least, scale[1]});
    if (preprocess == Preprocess::kNormalise) {
      fail_usage(
          "random_resized_crop: got it together with preprocess=normalise, expected preprocess=eval, which has a size "
          "to resize to.");
    }
  }
  require("random_crop_padding", augmentation.crop_padding, ranges::kImageSize);
  require("random_horizontal_flip", augmentation.horizontal_flip, ranges::kProbability);
  require("rand_augment", augmentation.rand_augment[0], ranges::kAugmentOperations);
  require("rand_augment", augmentation.rand_augment[1], ranges::kAugmentMagnitude);
  if (augmentation.rand_augment[0] > 0 && augmentation.trivial_augment_wide)
    fail_usage("trivial_augment_wide: got true with rand_augment, expected one of the two.");
  for (std::size_t i = 0; i < 3; ++i) require("color_jitter", augmentation.color_jitter[i], ranges::kColorJitter);
  require("color_jitter", augmentation.color_jitter[3], ranges::kHueJitter);
  require("random_erasing", augmentation.random_erasing, ranges::kProbability);
  require("mixup_alpha", augmentation.mixup_alpha, ranges::kMixingAlpha);
  require("cutmix_alpha", augmentation.cutmix_alpha, ranges::kMixingAlpha);
  require("cache_views", cache_views, ranges::kViews);
  if (cache_views > 0 && !augmentation.any()) {
    fail_usage("cache_views: got ", cache_views,
               " without random_resized_crop or another random transform, expected one of them, or 0.");
  }
  if (cache_views > 0 && augmentation.mixes()) {
    fail_usage("cache_views: got ", cache_views, " with ", augmentation.mixup_alpha > 0 ? "mixup" : "cutmix",
               "_alpha, expected 0: each batch mixes other images.");
  }
  require("train_limit", train_limit, ranges::kCount);
  require("test_limit", test_limit, ranges::kCount);
  require("validation", validation, ranges::kCount);
  require("validation_share", validation_share, ranges::kHeldOutShare);
  if (validation > 0 && validation_share != 0 && validation_share != DataOptions().validation_share) {
    fail_usage("validation_share: got ", validation_share, " with validation: ", validation,
               ", expected one of the two. Both hold images out for validation.");
  }
  require("test_share", test_share, ranges::kHeldOutShare);
  require("split_seed", static_cast<std::int64_t>(split_seed), ranges::kSeed);
}

void OptimizerOptions::check() const {
  require("learning_rate", learning_rate, ranges::kLearningRate);
  require("weight_decay", weight_decay, ranges::kWeightDecay);
  for (const double beta : betas) require("betas", beta, ranges::kDecay);
  require("eps", eps, ranges::kEps);
  require("momentum", momentum, ranges::kDecay);
  if (nesterov && momentum == 0) fail_usage("nesterov: got true with momentum 0, expected a momentum above 0.");
  require("warmup", warmup, ranges::kWarmup);
  for (std::size_t i = 0; i < stages.size(); ++i) {
    if (stages[i] <= (i > 0 ? stages[i - 1] : 0))
      fail_usage("stages: got ", stages[i], " at place ", i + 1, ", expected ascending numbers of steps above 0.");
  }
  require("clip_grad_norm", clip_grad_norm, ranges::kGradientNorm);
}

void LoopOptions::check() const {
  require("epochs", epochs, ranges::kEpochs);
  require("max_steps", max_steps, ranges::kCount);
  require("batch_size", batch_size, ranges::kBatchSize);
  require("label_smoothing", label_smoothing, ranges::kLabelSmoothing);
  if (class_weights.balanced && !class_weights.values.empty())
    fail_usage("class_weights: got balanced and weights, expected one of the two.");
  double sum = 0;
  for (const double weight : class_weights.values) {
    require("class_weights", weight, ranges::kClassWeight);
    sum += weight;
  }
  if (!class_weights.values.empty() && sum == 0)
    fail_usage("class_weights: got only zeros, expected a weight above 0.");
  if (sampling == Sampling::kBalanced && !shuffle)
    fail_usage("sampling: got balanced with shuffle: false, expected shuffle: true, because images are drawn.");
  require("early_stop", early_stop, ranges::kEarlyStop);
  require("time", seconds, ranges::kSeconds);
  require("checkpoint_seconds", checkpoint_seconds, ranges::kSeconds);
  if (early_stop > 0 && best == BestEpoch::kLast)
    fail_usage("early_stop: got ", early_stop, " with best: last, expected a metric as best, such as accuracy.");
  if (seed > static_cast<std::uint64_t>(ranges::kSeed.greatest)) {
    fail_usage("seed: got ", seed, ", expected an integer from 0 to ", ranges::kSeed.greatest, ".");
  }
}

void MachineOptions::check() const {
  require("threads", threads, ranges::kThreads);
  require("loader_threads", loader_threads, ranges::kThreads);
  require("cache_gib", cache_gib, ranges::kGib);
  require("cache_disk_gib", cache_disk_gib, ranges::kGib);
  if (precision == Precision::kInt8 && (device != Device::kCpu || engine == EngineKind::kPlain)) {
    fail_usage("precision: got int8 with ", device != Device::kCpu ? "device: " + name_of(device) : "engine: plain",
               ", expected device: cpu and engine: fused.");
  }
}

void TrainingOptions::check() const {
  data.check();
  optimizer.check();
  loop.check();
  machine.check();
}

}  // namespace lorikeet
