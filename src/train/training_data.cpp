#include "train/training_data.h"

#include <algorithm>
#include <filesystem>
#include <numeric>
#include <type_traits>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "base/random.h"
#include "base/text.h"
#include "data/fingerprint.h"
#include "train/class_balance.h"
#include "train/ranges.h"
#include "train/recipe.h"

namespace fs = std::filesystem;

namespace lorikeet {
namespace {

std::vector<std::int64_t> slice(const std::vector<std::int64_t>& from, std::int64_t begin, std::int64_t end) {
  return {from.begin() + begin, from.begin() + end};
}

// The keys for data without splits that differ from their defaults.
std::vector<std::string> split_keys(const DataOptions& data) {
  const DataOptions defaults;
  std::vector<std::string> out;
  if (data.validation_share != defaults.validation_share) out.emplace_back("validation_share");
  if (data.test_share != defaults.test_share) out.emplace_back("test_share");
  if (data.split_seed != defaults.split_seed) out.emplace_back("split_seed");
  return out;
}

}  // namespace

SplitOptions split_options(const DataOptions& data) {
  return {data.validation > 0 ? 0 : data.validation_share, data.test_share, data.split_seed};
}

OpenOptions open_options(const DataOptions& data) {
  return {.classes = {}, .use = DatasetUse::kTraining, .split = split_options(data), .exif = data.exif};
}

Json split_record(const SplitOptions& split, const std::shared_ptr<const Dataset>& whole) {
  return {{"validation_share", split.validation},
          {"test_share", split.test},
          {"split_seed", split.seed},
          {"images", whole->size()},
          {"fingerprint", size_fingerprint(whole)}};
}

void find_recorded_data(AdapterFolder& folder, const fs::path& adapter) {
  if (!folder.metadata || !folder.metadata->training.is_object()) return;
  const auto recorded = folder.metadata->training.find("data");
  const fs::path recipe = parent_of(without_trailing_slash(fs::absolute(adapter).lexically_normal())) / "recipe.yaml";
  std::error_code ignored;
  if (recorded == folder.metadata->training.end() || !fs::is_regular_file(recipe, ignored)) return;
  try {
    const std::string data = load_recipe(recipe, {}).data.name;
    if (*recorded == shared_data_name(data)) *recorded = data;
  } catch (const Error&) {  // not a run's, or of a later version: the name remains
  }
}

void use_recorded_split(const Json& training, const std::string& data, OpenOptions& how) {
  const auto recorded = training.find("data"), split = training.find("split");
  if (recorded == training.end() || !recorded->is_string() || split == training.end() || !split->is_object()) return;
  SplitOptions options;
  const auto number = [&](const char* key, auto& to) {
    const auto found = split->find(key);
    if (found != split->end() && found->is_number()) to = found->get<std::remove_reference_t<decltype(to)>>();
  };
  number("validation_share", options.validation);
  number("test_share", options.test);
  number("split_seed", options.seed);
  if (!ranges::kHeldOutShare.contains(options.validation) || !ranges::kHeldOutShare.contains(options.test)) return;
  std::int64_t images = 0;
  number("images", images);
  const auto fingerprint = split->find("fingerprint");
  const bool has_fingerprint = fingerprint != split->end() && fingerprint->is_string();
  std::error_code ignored;
  const auto& name = recorded->get_ref<const std::string&>();
  const bool is_same_path = name == data || std::filesystem::equivalent(name, data, ignored);
  how.split = options;
  how.split_applies = [=, known = has_fingerprint ? fingerprint->get<std::string>()
                                                  : std::string()](const std::shared_ptr<const Dataset>& whole) {
    if (known.empty()) return is_same_path;  // a record without one
    if (size_fingerprint(whole) == known) return true;
    if (is_same_path) {
      fail(data, ": got ", counted(whole->size(), "image"), " that are not the ", images,
           " of training, expected those: the split was drawn from them, so which of these were trained on is unknown. "
           "Restore the data, or evaluate on other images with data=FOLDER.");
    }
    return false;
  };
}

Splits split_data(const TrainingOptions& options, const Splits& splits) {
  if (!splits.train) fail(options.data.name, ": got no train split, expected one to train on.");
  Splits out = splits;
  if (options.data.validation > 0) {
    if (splits.validation)
      fail_usage("validation: got ", options.data.validation, ", expected 0: ", options.data.name,
                 " already has a val split.");
    if (options.data.validation >= splits.train->size()) {
      fail_usage("validation: got ", options.data.validation, ", expected fewer than the ",
                 counted(splits.train->size(), "training image"), ".");
    }
  }
  if (options.loop.early_stop > 0 && options.data.validation == 0 && !splits.validation) {
    fail_usage("early_stop: got ", options.loop.early_stop,
               " without validation images, expected a val split or validation: N.");
  }
  if (options.data.validation > 0 || options.data.train_limit > 0) {
    std::vector<std::int64_t> order(static_cast<std::size_t>(splits.train->size()));
    std::iota(order.begin(), order.end(), 0);
    if (options.loop.shuffle) Random(options.loop.seed).shuffle(order);
    const std::int64_t rest = splits.train->size() - options.data.validation;
    const std::int64_t used = options.data.train_limit > 0 ? std::min(options.data.train_limit, rest) : rest;
    out.train = subset(splits.train, slice(order, 0, used));
    if (options.data.validation > 0) {
      out.validation = subset(splits.train, slice(order, rest, splits.train->size()));
      if (splits.whole) {
        out.notes.push_back(cat(options.data.name, ": ", options.data.validation, " of the ",
                                counted(splits.train->size(), "training image"),
                                " are held out for validation (validation)"));
      }
    }
  }
  if (out.train->classes().size() == 1) {
    out.notes.push_back(cat(options.data.name, ": all images are of one class, ",
                            printable(out.train->classes().front()), ", so there is nothing to tell apart"));
  }
  if (const std::vector<std::string> unused = splits.whole ? std::vector<std::string>() : split_keys(options.data);
      !unused.empty()) {
    out.notes.push_back(cat(options.data.name, ": has splits, so ", join(unused, ", "),
                            unused.size() == 1 ? " is" : " are", " not used"));
  }
  check_weights(options.loop.class_weights, *out.train);
  if (out.test) out.test = stratified(out.test, options.data.test_limit);
  return out;
}

Splits with_bad_images(BadImages bad_images, Splits splits, const TrainCallback& progress) {
  const auto add_note = [&](std::string note) {
    if (!note.empty()) splits.notes.push_back(std::move(note));
  };
  if (bad_images == BadImages::kStop) {
    add_note(check_images({splits.train, splits.validation, splits.test}));
    return splits;
  }
  constexpr std::size_t kMostSkipped = 100;
  std::vector<std::string> skipped;
  std::int64_t total = 0, before = 0;
  for (const auto& split : {splits.train, splits.validation, splits.test}) total += split ? split->size() : 0;
  for (auto* split : {&splits.train, &splits.validation, &splits.test}) {
    if (!*split) continue;
    ImagesCallback show;
    if (progress) {
      show = [&](std::int64_t done, std::int64_t) {
        return progress({.phase = "check", .done = before + done, .total = total});
      };
    }
    auto found = readable_images(*split, show);
    if (!found) fail("data: the check of its images was stopped. Nothing was written.");
    before += (*split)->size();
    ReadableImages& readable = *found;
    if (readable.images->size() == 0) {
      fail("data: got ", counted(readable.problems.size(), "image"),
           " of a split of which none can be read, expected some that can: ", readable.problems.front());
    }
    skipped.insert(skipped.end(), readable.problems.begin(), readable.problems.end());
    *split = std::move(readable.images);
  }
  add_note(note_of_missing_ends({splits.train, splits.validation, splits.test}));
  if (skipped.empty()) return splits;
  if (splits.train) {
    const auto counts = class_counts(*splits.train);
    for (std::size_t i = 0; i < counts.size(); ++i) {
      if (counts[i] == 0) {
        splits.notes.push_back(
            cat("no readable training images of the class ", printable(splits.train->classes()[i]), " are left"));
      }
    }
  }
  splits.notes.push_back(
      cat("skipped ", counted(skipped.size(), "image"), " that cannot be read: ", join_first(skipped, kMostSkipped)));
  return splits;
}

}  // namespace lorikeet
