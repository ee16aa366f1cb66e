// The splits of a dataset, and the split of data that comes without any.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "data/dataset.h"

namespace lorikeet {

/// The splits of a dataset.
struct Splits {
  std::shared_ptr<const Dataset> train;
  /// Null if there is none.
  std::shared_ptr<const Dataset> validation;
  std::shared_ptr<const Dataset> test;
  /// One sentence each: ignored parts of a folder, classes without images.
  std::vector<std::string> notes = {};
  /// All images of data that has no splits of its own; null for other data.
  std::shared_ptr<const Dataset> whole = nullptr;
};

enum class DatasetUse {
  /// All splits.
  kTraining,
  /// The test split, or the validation split if the test split has no labelled images. Nothing else is read, so
  /// problems elsewhere do not matter.
  kEvaluation
};

/// How data without splits is split.
struct SplitOptions {
  /// Share of each class that is held out for validation, 0 to 1.
  double validation = 0.1;
  /// Share of each class that is held out for testing.
  double test = 0.1;
  std::uint64_t seed = 0;
};

/// How data is opened.
struct OpenOptions {
  /// The classes of a trained adapter. Empty: the data defines them.
  std::vector<std::string> classes = {};
  DatasetUse use = DatasetUse::kTraining;
  /// For data without splits. Nothing: all its images are the test split.
  std::optional<SplitOptions> split = SplitOptions();
  /// Whether `split` applies to these images, all those of data without splits. Unset: it does.
  std::function<bool(const std::shared_ptr<const Dataset>& whole)> split_applies = nullptr;
  Exif exif = Exif::kApply;
  /// Receives faults of a folder's structure beside which the rest can be read, one sentence each. Null: they are
  /// thrown.
  std::vector<std::string>* faults = nullptr;
};

/// Splits `dataset` by `options.split`, class by class: each class is shuffled by the seed, and its shares are rounded
/// to images. A class of three or more images has at least one image in each split whose share is not 0; every class
/// has one in train. Without a split that applies, all images are the test split. Images keep their order. The result
/// depends on the labels alone, so the same data has the same splits on every machine.
Splits split_by_class(const std::shared_ptr<const Dataset>& dataset, const OpenOptions& options,
                      const std::string& name);

/// Returns the split that a name from outside means: "train", "val" or "test", in any case; empty for any other name.
/// Other names are "training", "valid", "validation", "testing", and, as in Hugging Face's datasets (data_files.py),
/// "dev", "development", "eval" and "evaluation"; also "holdout", which is a test split.
std::string split_of_name(const std::string& name);

/// Whether the name is one of the less certain ones: "dev", "eval", "holdout" … Beside a folder with a
/// certain name, it is not that split.
bool is_uncertain_split_name(const std::string& name);

}  // namespace lorikeet
