// A recipe specifies one training run completely. It is read from YAML with `key=value` overrides. The run folder
// receives a copy with every key and every automatic choice filled in, which reproduces the run.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "adapters/adapt.h"
#include "adapters/adapter_config.h"
#include "image/preprocessing.h"
#include "lorikeet/training_options.h"

namespace lorikeet {

/// What is trained, in words that fit every model; see resolve_tuning (train/tuning.h).
enum class Tuning { kProbe, kAdapter, kNorm, kBias, kPartial, kFull };
const std::vector<std::string>& tuning_names();
const std::string& name_of(Tuning tuning);

/// What is trained, and its initial values.
struct AdaptationOptions {
  /// Absent: what target_modules and modules_to_save select.
  std::optional<Tuning> tune;
  AdapterConfig config;
  /// Widths of the hidden Linear layers of an added head. Empty: a single Linear. Absent: no head.
  std::optional<std::vector<std::int64_t>> head;
  Activation head_activation = Activation::kNone;
  /// Replaces the network's last Linear with a newly initialised one, with one output per class.
  bool replace_output = false;
  /// The same, and trains it, whatever its name in the network.
  bool new_head = false;
  /// How the weight of the new output is made from fewer numbers. Absent: it is learned in full.
  std::optional<SmallOutput> small_output;
  /// Folder or file of an adapter with the initial values; may be empty.
  std::string start_from;

  /// Throws UsageError if values are incompatible or nothing would be trained.
  void check() const;
  /// Returns the adapter specification for a dataset with this many classes. REQUIRES: neither tune nor new_head, which
  /// resolve_tuning replaces.
  AdapterSpec spec(std::int64_t classes) const;
};

/// Published results of this configuration (the article's, for example), which `compare` prints beside ours.
struct Reference {
  std::string title;
  std::string trainable;
  std::optional<double> accuracy;
};

/// The values that `lorikeet search` tries for a key instead of its own, each as YAML (search/space.h).
struct SearchedKey {
  std::string key;
  std::vector<std::string> values;

  bool operator==(const SearchedKey&) const = default;
};

/// The keys that a search can vary.
const std::vector<std::string>& searchable_keys();
/// As a value of peft_type in a search: no adapter, only a new output.
inline constexpr const char* kHeadOnly = "HEAD";

struct Recipe : TrainingOptions {
  std::string model = "resnet50";
  std::string weights;  // a file; empty: the official weights of that name
  AdaptationOptions adapter;
  /// Of RUN/adapter.lorikeet.
  FilePrecision file_precision = FilePrecision::kFloat32;
  Reference reference;
  /// Used by `lorikeet search` only.
  std::vector<SearchedKey> search;
  /// The run folder, which is not part of the recipe's identity. Empty: chosen by the caller.
  std::filesystem::path run;

  /// Throws UsageError, starting with the key, if a value is out of range or values are incompatible.
  void check() const;
};

/// Reads `path`, applies `overrides` ("key=value"), checks the result and makes the automatic choices. Throws Error for
/// an unreadable file and UsageError for an invalid override. The message suggests the nearest key for an unknown one,
/// or states the range.
Recipe load_recipe(const std::filesystem::path& path, const std::vector<std::string>& overrides);

/// The same for the text of a recipe; messages start with `where`.
Recipe parse_recipe(const std::string& yaml, const std::filesystem::path& where,
                    const std::vector<std::string>& overrides);

/// Returns the keys that the file and the overrides name. A file that load_recipe refuses has none.
std::set<std::string> named_keys(const std::filesystem::path& path, const std::vector<std::string>& overrides);

/// Makes the automatic choices: precision, warm-up of one_cycle. Idempotent.
Recipe resolved(Recipe recipe);

/// Makes data, weights and start_from absolute if they are files or folders, so that the recipe does not depend on the
/// current folder.
Recipe with_absolute_paths(Recipe recipe);

/// Returns the complete recipe as YAML without the run folder: equal for equivalent runs.
std::string recipe_yaml(const Recipe& recipe);

/// Returns every key except `run` with its value as YAML.
std::vector<std::pair<std::string, std::string>> recipe_values(const Recipe& recipe);

/// Returns every key of a recipe.
std::vector<std::string> recipe_keys();

/// Returns "key — meaning" for every key, for `lorikeet train --help`.
std::string recipe_help();

/// Number of distinct views per training image; 0 if every epoch draws new ones.
std::int64_t view_count(const DataOptions& data);

/// Returns the preprocessing of a run, given that of the weights.
Preprocessing data_preprocessing(const DataOptions& data, const Preprocessing& weights);

}  // namespace lorikeet
