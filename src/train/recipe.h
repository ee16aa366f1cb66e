// A recipe says everything about one training run. It is read from YAML with `key=value` overrides, and written back
// with every key and every automatic choice in place into the run's folder: that file repeats the run.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "adapters/adapt.h"
#include "adapters/adapter_config.h"
#include "image/preprocessing.h"
#include "lorikeet/training_options.h"

namespace lorikeet {

/// What is learned, and from where training starts.
struct AdaptationOptions {
  AdapterConfig config;
  /// Widths of the hidden Linear layers of a head after the network; empty: one Linear alone; absent: no head.
  std::optional<std::vector<std::int64_t>> head;
  Activation head_activation = Activation::kNone;
  /// The network's last Linear gets one output for each class, and new weights.
  bool replace_output = false;
  /// Folder of an adapter whose tensors training starts from; may be empty.
  std::string start_from;

  /// Throws UsageError where values do not go together, or nothing would be learned.
  void check() const;
  /// The same for a dataset of this many classes.
  AdapterSpec spec(std::int64_t classes) const;
};

/// What the article, or anyone else, reports for this configuration; `compare` prints it beside our figures.
struct Reference {
  std::string title;
  std::string trainable;
  std::optional<double> accuracy;
};

struct Recipe : TrainingOptions {
  std::string model = "resnet50";
  std::string weights;  // a file; empty: the official weights of that name
  AdaptationOptions adapter;
  Reference reference;
  /// The run's folder; not part of the recipe's identity. Empty: the caller's choice.
  std::filesystem::path run;

  /// Throws UsageError, which begins with the key, for values out of range and for values that do not go together.
  void check() const;
};

/// Reads `path` and applies `overrides` ("key=value"); checked, with automatic choices made. Throws Error for a file,
/// UsageError for an override, with the nearest key where one is unknown and the range where a value is out of it.
Recipe load_recipe(const std::filesystem::path& path, const std::vector<std::string>& overrides);

/// Makes the automatic choices: precision, one_cycle's warm-up. The same recipe where they have been made.
Recipe resolved(Recipe recipe);

/// With data, weights and start_from that are files or folders by their absolute paths, so that the recipe means the
/// same from everywhere.
Recipe with_absolute_paths(Recipe recipe);

/// The complete recipe as YAML, without the run's folder: the same for runs that do the same.
std::string recipe_yaml(const Recipe& recipe);

/// Every key that a recipe or an override may have.
std::vector<std::string> recipe_keys();

/// "key — meaning" for every key, for `lorikeet train --help`.
std::string recipe_help();

/// How many different views of each training image there are; 0 where each epoch has new ones.
std::int64_t view_count(const DataOptions& data);

/// What images go through, given the weights' own preprocessing.
Preprocessing data_preprocessing(const DataOptions& data, const Preprocessing& weights);

}  // namespace lorikeet
