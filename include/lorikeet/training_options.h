// Options of a training run, except those of the model and the adapter. Names and defaults are those of the recipe's
// keys (docs/format/recipe.md). Every `check` throws UsageError, starting with the key, if a value is out of range or
// values are incompatible.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "lorikeet/compute.h"
#include "lorikeet/export.h"

namespace lorikeet {

/// Preprocessing of an image: the model's own evaluation preprocessing, or only its normalisation (for images that
/// already have the right size).
enum class Preprocess { kEval, kNormalise };

/// What is done with the EXIF orientation of an image: the image is turned upright, as image viewers and PIL's
/// ImageOps.exif_transpose do, or not, as in torchvision's ImageFolder.
enum class Exif { kApply, kIgnore };

/// What a run does with images that cannot be read.
enum class BadImages {
  /// Looks at the start and end of each file first, and fails with the names of all bad ones.
  kStop,
  /// Decodes all images first, and leaves the bad ones out, with a note that names them.
  kSkip
};

/// Random transforms of training images, applied in this order. They follow torchvision's transforms of these names.
struct Augmentation {
  /// `scale` of RandomResizedCrop, which replaces resize and centre crop: the smallest and largest share of the image's
  /// area, with aspect ratios from 3/4 to 4/3. Both 0: none.
  std::array<double, 2> resized_crop{0, 0};
  /// `padding` of RandomCrop in pixels, filled with black.
  int crop_padding = 0;
  /// `p` of RandomHorizontalFlip.
  double horizontal_flip = 0;
  /// `num_ops` and `magnitude` (0 to 30) of RandAugment; no operations: none.
  std::array<int, 2> rand_augment{0, 0};
  bool trivial_augment_wide = false;
  /// `brightness`, `contrast`, `saturation` and `hue` of ColorJitter; all 0: none.
  std::array<double, 4> color_jitter{0, 0, 0, 0};
  /// `p` of RandomErasing after normalisation, with its default scale and ratio and value 0, the mean colour. That
  /// colour is rounded to a grey level.
  double random_erasing = 0;
  /// `alpha` of MixUp and CutMix, which mix the images of a batch; 0: none. With both, each batch draws one of them.
  double mixup_alpha = 0;
  double cutmix_alpha = 0;

  bool has_color_jitter() const { return color_jitter != std::array<double, 4>{0, 0, 0, 0}; }
  bool mixes() const { return mixup_alpha > 0 || cutmix_alpha > 0; }
  /// Whether any transform is enabled.
  bool any() const {
    return resized_crop[1] > 0 || crop_padding > 0 || horizontal_flip > 0 || rand_augment[0] > 0 ||
           trivial_augment_wide || has_color_jitter() || random_erasing > 0 || mixes();
  }
  bool operator==(const Augmentation&) const = default;
};

struct DataOptions {
  /// Name of a dataset; a folder train|val|test/<class>/*.jpg or <class>/*.jpg, or with the files of MNIST's or CIFAR's
  /// format; a manifest (.csv, .tsv, .jsonl); or tar shards of a WebDataset, e.g. "shards-{000..003}.tar".
  std::string name = {};
  /// Size in pixels to which images are resized and cropped, 16 to 4096. 0: the size of the weights' own evaluation
  /// preprocessing.
  int image_size = 0;
  Preprocess preprocess = Preprocess::kEval;
  /// Recorded in the adapter, which uses it for all its images.
  Exif exif = Exif::kApply;
  BadImages bad_images = BadImages::kStop;
  Augmentation augmentation = {};
  /// Number of distinct random views per training image. Epochs cycle through them, and their prefix outputs are
  /// cached. 0: a new view every epoch, without caching.
  std::int64_t cache_views = 0;
  /// Train on a random sample of this many images, determined by the seed; 0: all.
  std::int64_t train_limit = 0;
  /// Test on this many images only, with each class in its proportion, the same for every run; 0: all.
  std::int64_t test_limit = 0;
  /// Training images held out for validation if the data has no val split.
  std::int64_t validation = 0;
  /// Shares of each class that are held out for validation and for testing if the data has no splits at all. With
  /// `validation`, validation_share is not used.
  double validation_share = 0.1;
  double test_share = 0.1;
  /// Seed of that split; not `seed`, so that runs with other seeds are compared on the same images.
  std::uint64_t split_seed = 0;

  LORIKEET_EXPORT void check() const;
};

enum class OptimizerKind { kAdamW, kSgd };
enum class ScheduleKind { kConstant, kCosine, kOneCycle };

struct OptimizerOptions {
  OptimizerKind kind = OptimizerKind::kAdamW;
  /// Peak learning rate of the schedule.
  double learning_rate = 1e-3;
  /// Decoupled for AdamW, added to the gradient for SGD, as in PyTorch.
  double weight_decay = 0.01;
  // AdamW.
  std::array<double, 2> betas{0.9, 0.999};
  double eps = 1e-8;
  // SGD.
  double momentum = 0.9;
  bool nesterov = false;
  ScheduleKind schedule = ScheduleKind::kConstant;
  /// Fraction of the steps during which the learning rate rises. 0: no warmup, except for kOneCycle, which uses
  /// OneCycleLR's default of 0.3.
  double warmup = 0;
  /// Ascending numbers of steps. Up to step n of these, the learning rate is that of a run of n steps; after the last,
  /// that of the complete run. A run that was extended from n steps, as by `lorikeet search`, is so one of its own.
  std::vector<std::int64_t> stages = {};
  /// Maximum L2 norm of the gradient; 0: no clipping.
  double clip_grad_norm = 0;

  LORIKEET_EXPORT void check() const;
};

/// Which epoch's adapter is kept: the best on the validation images by a Metric, or the last.
enum class BestEpoch {
  kAccuracy,
  kTop5Accuracy,
  kLoss,
  kMacroPrecision,
  kMacroRecall,
  kMacroF1,
  kCalibrationError,
  kLast
};

/// Weights of the classes in the training loss, as PyTorch's CrossEntropyLoss(weight=…) uses them.
struct ClassWeights {
  /// n / (k c) for a class with c of the n training images, k classes having some: scikit-learn's "balanced".
  bool balanced = false;
  /// One weight per class, in the order of the classes. Empty, and not balanced: all classes weigh 1.
  std::vector<double> values = {};

  bool operator==(const ClassWeights&) const = default;
};

/// Which images an epoch trains on, as many as there are training images.
enum class Sampling {
  /// Each image once.
  kUniform,
  /// Each class equally often, up to one image: the frequencies of PyTorch's WeightedRandomSampler with weights 1 / c.
  /// Within a class, every image is used equally often, up to once.
  kBalanced
};

struct LoopOptions {
  std::int64_t epochs = 1;
  /// Train for this many seconds, loading and the final evaluation included; 0: no limit. The schedule of the learning
  /// rate follows. `epochs` and `max_steps` stay upper limits, but 1 epoch, the default, means no limit.
  double seconds = 0;
  /// Stop training after this many steps; 0: no limit.
  std::int64_t max_steps = 0;
  std::int64_t batch_size = 64;
  double label_smoothing = 0;
  ClassWeights class_weights = {};
  Sampling sampling = Sampling::kUniform;
  /// The epoch to keep, if there are validation images; otherwise the last is kept. Of equally good epochs, the one
  /// with the lowest loss.
  BestEpoch best = BestEpoch::kAccuracy;
  /// Stop after this many epochs without an improvement of the metric `best`; 0: never.
  std::int64_t early_stop = 0;
  /// Seed of the adapter's initialisation, the order and augmentation of images, and dropout.
  std::uint64_t seed = 0;
  /// Reshuffle the images every epoch.
  bool shuffle = true;
  /// Save a checkpoint when this many seconds have passed since the last one, in addition to one after each epoch. 0:
  /// after every step.
  double checkpoint_seconds = 60;

  LORIKEET_EXPORT void check() const;
};

struct MachineOptions {
  Device device = Device::kCpu;
  Precision precision = Precision::kFloat32;
  EngineKind engine = EngineKind::kFused;
  /// Number of compute threads; 0: the current number.
  std::int64_t threads = 0;
  /// Number of threads that read and augment images; 0: a quarter of the compute threads, at least one. The results do
  /// not depend on it.
  std::int64_t loader_threads = 0;
  /// Memory for cached outputs of the frozen prefix; 0: no caching in memory.
  double cache_gib = 2;
  /// Disk space for cached outputs that do not fit in memory: an unnamed file, which uses at most half of the free
  /// space.
  double cache_disk_gib = 4;
  /// Folder of that file, such as the run folder. Empty: no file; cache_disk_gib is then ignored.
  std::filesystem::path cache_folder;

  LORIKEET_EXPORT void check() const;
};

struct TrainingOptions {
  DataOptions data = {};
  OptimizerOptions optimizer = {};
  LoopOptions loop = {};
  MachineOptions machine = {};

  /// Calls `check` of all four.
  LORIKEET_EXPORT void check() const;
};

}  // namespace lorikeet
