// A recipe says everything about one training run. It is read from YAML with `key=value` overrides, and written back
// whole, with every automatic choice in place, into the run's folder: that file runs again as it is.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "adapters/adapt.h"
#include "adapters/adapter_config.h"
#include "engine/executor.h"
#include "image/augment.h"
#include "image/preprocessing.h"

namespace lorikeet {

enum class OptimizerKind { kAdamW, kSgd };
enum class ScheduleKind { kConstant, kCosine, kOneCycle };

/// What the article, or anybody else, reports for this configuration; `compare` prints it beside our figures.
struct Reference {
  std::string title;
  std::string trainable;
  std::optional<double> accuracy;
};

struct Recipe {
  // What is adapted, to what.
  std::string model = "resnet50";
  std::string weights;  // a file; empty: the official weights of that name
  std::string data;
  std::string start_from;  // an adapter folder to go on from
  int image_size = 0;      // 0: the weights' own evaluation preprocessing; else resize and crop to it
  std::string preprocess = "eval";
  Augmentation augmentation;
  std::int64_t train_limit = 0;
  std::int64_t test_limit = 0;
  std::int64_t validation = 0;

  // The adapter, with PEFT's names.
  AdapterConfig adapter;
  std::optional<std::vector<std::int64_t>> head;
  Activation head_activation = Activation::kNone;
  bool replace_output = false;

  // Training.
  std::int64_t epochs = 1;
  std::int64_t max_steps = 0;
  std::int64_t batch_size = 64;
  OptimizerKind optimizer = OptimizerKind::kAdamW;
  double learning_rate = 1e-3;
  double weight_decay = 0.01;
  std::vector<double> betas{0.9, 0.999};
  double eps = 1e-8;
  double momentum = 0.9;
  bool nesterov = false;
  ScheduleKind schedule = ScheduleKind::kConstant;
  double warmup = 0;
  double label_smoothing = 0;
  double clip_grad_norm = 0;
  std::int64_t early_stop = 0;
  std::uint64_t seed = 0;
  bool shuffle = true;

  // The machine.
  std::string device = "cpu";
  std::string precision = "float32";
  EngineKind engine = EngineKind::kFused;
  std::int64_t threads = 0;
  double cache_gib = 2;
  double cache_disk_gib = 4;
  std::int64_t cache_views = 0;

  Reference reference;
  /// The run's folder; not part of the recipe's identity. Empty: the caller's choice.
  std::filesystem::path run;
};

/// Reads `path` and applies `overrides` ("key=value"). Throws Error for a file, UsageError for an override, with the
/// nearest key where one is unknown and the range where a value cannot be.
Recipe load_recipe(const std::filesystem::path& path, const std::vector<std::string>& overrides);

/// Throws UsageError for values that do not go together, and fills in what depends on others.
void check_recipe(Recipe& recipe);

/// The whole recipe as YAML, without the run's folder: the same for runs that do the same.
std::string recipe_yaml(const Recipe& recipe);

/// "key — meaning" for every key, for `lorikeet train --help`.
std::string recipe_help();

/// What the recipe asks of an adapter, for a dataset with this many classes.
AdapterSpec adapter_spec(const Recipe& recipe, std::int64_t classes);

/// How many different views of each training image there are: 0 where each epoch sees new ones.
std::int64_t view_count(const Recipe& recipe);

/// What the recipe's images go through, given the weights' own preprocessing.
Preprocessing recipe_preprocessing(const Recipe& recipe, const Preprocessing& weights);

}  // namespace lorikeet
