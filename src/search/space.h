// The candidates of a search: combinations of method, places, rank, head and learning rate. docs/search.md has the
// default space.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "loading/loaded_model.h"
#include "train/recipe.h"

namespace lorikeet {

struct Candidate {
  /// By PEFT's name, or kHeadOnly.
  std::string method;
  /// "half", or what the recipe's `search` has; empty if the recipe fixes target_modules, or without an adapter.
  std::string places = {};
  /// Keys of a recipe with their values as YAML.
  std::vector<std::pair<std::string, std::string>> settings = {};
  std::int64_t parameters = 0;
  /// Mean squared gradient per parameter of its places; 0 if they have no name.
  double gradient = 0;

  /// The settings as overrides, "key=value".
  std::vector<std::string> overrides() const;
  /// The value of the key; empty if it has none.
  std::string setting(const std::string& key) const;
};

struct SpaceOptions {
  /// The recipe; `search` replaces default values.
  const Recipe& recipe;
  /// Keys that it fixes.
  const std::set<std::string>& named;
  const BaseModel& base;
  std::int64_t classes = 0;
  /// module_gradients() of the modules of stages_of(graph, LORA).
  const std::map<std::string, double>& gradients;
};

/// The candidates in the order in which they are tried: of each size (a power of two of parameters) those with the
/// largest gradients first, one of each size in turn. A line is added to `notes` for each combination that does not fit
/// the model. Throws UsageError if none does, or none with a value of a key of `search`.
std::vector<Candidate> make_candidates(const SpaceOptions& options, std::vector<std::string>& notes);

/// The precisions of files that are measured: those of the recipe's `search`, the one that it names, or all but
/// float32.
std::vector<FilePrecision> searched_precisions(const Recipe& recipe, const std::set<std::string>& named);

/// Throws UsageError if the recipe names a key that a search decides itself: tune, time, early_stop, stages,
/// start_from.
void check_searchable(const std::set<std::string>& named);

}  // namespace lorikeet
