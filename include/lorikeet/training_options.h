// The options of a training run, apart from the model and its adapter. The names are those of a recipe's keys
// (docs/format/recipe.md), and so are the defaults. Every `check` throws UsageError, which begins with the key, for a
// value out of range and for values that do not go together.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <string>

#include "lorikeet/compute.h"
#include "lorikeet/export.h"

namespace lorikeet {

/// What an image goes through: the model's own evaluation preprocessing or, for images already at size, only its
/// normalisation.
enum class Preprocess { kEval, kNormalise };

/// Random transforms of training images, in this order, as torchvision's transforms of these names do them.
struct Augmentation {
  /// RandomResizedCrop's `scale`, in place of resize and centre crop: least and greatest share of the image's area,
  /// with aspect ratios from 3/4 to 4/3. Both 0: none.
  std::array<double, 2> resized_crop{0, 0};
  /// RandomCrop's `padding` in pixels; black.
  int crop_padding = 0;
  /// RandomHorizontalFlip's `p`.
  double horizontal_flip = 0;

  /// Whether anything is random.
  bool any() const { return resized_crop[1] > 0 || crop_padding > 0 || horizontal_flip > 0; }
  bool operator==(const Augmentation&) const = default;
};

struct DataOptions {
  /// Name of a dataset, or a folder train|val|test/<class>/*.jpg|png.
  std::string name = {};
  /// Side in pixels to which images are resized and cropped, 16 to 4096; 0: as the weights' own evaluation does.
  int image_size = 0;
  Preprocess preprocess = Preprocess::kEval;
  Augmentation augmentation = {};
  /// How many different random views of each training image there are, one an epoch in turn; their prefix outputs are
  /// cached. 0: a new view each epoch, nothing cached.
  std::int64_t cache_views = 0;
  /// Use only this many training images, drawn by the seed; 0: all.
  std::int64_t train_limit = 0;
  /// Use only the first test images; 0: all.
  std::int64_t test_limit = 0;
  /// Training images held out for validation where the data has no val split.
  std::int64_t validation = 0;

  LORIKEET_EXPORT void check() const;
};

enum class OptimizerKind { kAdamW, kSgd };
enum class ScheduleKind { kConstant, kCosine, kOneCycle };

struct OptimizerOptions {
  OptimizerKind kind = OptimizerKind::kAdamW;
  /// The highest learning rate of the schedule.
  double learning_rate = 1e-3;
  /// Decoupled for AdamW, in the gradient for SGD, as in PyTorch.
  double weight_decay = 0.01;
  // AdamW.
  std::array<double, 2> betas{0.9, 0.999};
  double eps = 1e-8;
  // SGD.
  double momentum = 0.9;
  bool nesterov = false;
  ScheduleKind schedule = ScheduleKind::kConstant;
  /// Share of all steps in which the learning rate rises. 0: none, but OneCycleLR's 0.3 for kOneCycle.
  double warmup = 0;
  /// Largest L2 norm of the gradient; 0: any.
  double clip_grad_norm = 0;

  LORIKEET_EXPORT void check() const;
};

struct LoopOptions {
  std::int64_t epochs = 1;
  /// Ends training early; 0: never.
  std::int64_t max_steps = 0;
  std::int64_t batch_size = 64;
  double label_smoothing = 0;
  /// Stop after this many epochs without a better validation accuracy, and keep the best epoch; 0: never.
  std::int64_t early_stop = 0;
  /// Seeds everything random: the adapter's initial values, the order and augmentation of images, dropout.
  std::uint64_t seed = 0;
  /// A new order each epoch.
  bool shuffle = true;

  LORIKEET_EXPORT void check() const;
};

struct MachineOptions {
  Device device = Device::kCpu;
  Precision precision = Precision::kFloat32;
  EngineKind engine = EngineKind::kFused;
  /// Threads of the computation; 0: the current number.
  std::int64_t threads = 0;
  /// Memory for cached outputs of the frozen prefix; 0: none.
  double cache_gib = 2;
  /// Disk space for them where memory does not suffice: an unnamed file, of at most half of the free space.
  double cache_disk_gib = 4;
  /// The folder of that file, such as a run's. Empty: no file, and cache_disk_gib has no effect.
  std::filesystem::path cache_folder;

  LORIKEET_EXPORT void check() const;
};

struct TrainingOptions {
  DataOptions data = {};
  OptimizerOptions optimizer = {};
  LoopOptions loop = {};
  MachineOptions machine = {};

  /// Checks each of the four.
  LORIKEET_EXPORT void check() const;
};

}  // namespace lorikeet
