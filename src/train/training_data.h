// The part of a dataset that training uses: limits, and held-out validation images.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "adapters/adapter_folder.h"
#include "base/json.h"
#include "data/datasets.h"
#include "lorikeet/progress.h"
#include "lorikeet/training_options.h"

namespace lorikeet {

/// How data without splits is split.
SplitOptions split_options(const DataOptions& data);
/// How a run opens its data.
OpenOptions open_options(const DataOptions& data);

/// The record of how `whole`, data without splits, was split.
Json split_record(const SplitOptions& split, const std::shared_ptr<const Dataset>& whole);
/// Completes the name of the data in the record of `folder`, which was read from `adapter` in a run's folder, to the
/// path in the run's recipe. Adapters elsewhere have the name alone.
void find_recorded_data(AdapterFolder& folder, const std::filesystem::path& adapter);
/// Sets how `data` is split as `training`, an adapter's record, says, if `data` has no splits and turns out to be the
/// images of training, wherever they are now. Opening it throws Error if it is where the images of training were, but
/// has others.
void use_recorded_split(const Json& training, const std::string& data, OpenOptions& how);

/// Throws Error if there is no train split, and UsageError if the options request more images than exist, or have
/// another number of class weights than there are classes.
Splits split_data(const TrainingOptions& options, const Splits& splits);

/// Checks the images of all splits, null or not. Throws Error with the names of bad ones for kStop, and if a split has
/// only bad ones; kSkip leaves them out and adds a note. For kSkip, `progress` receives the phase "check", and Error is
/// thrown if it returns false.
Splits with_bad_images(BadImages bad_images, Splits splits, const TrainCallback& progress = {});

/// Data of a run.
struct CheckedData {
  /// As open_dataset returns it.
  Splits opened;
  /// What the run uses of it, after split_data and with_bad_images.
  Splits used;
};

/// The record of DataOptions::validation and of LoopOptions::shuffle, which with the seed determine which images of the
/// training split were held out.
inline constexpr const char* kHeldOutKey = "validation_images";
inline constexpr const char* kShuffleKey = "shuffle";

/// The record of kSkip in an adapter's metadata: evaluation leaves the same images out.
inline constexpr const char* kBadImagesKey = "bad_images";
inline constexpr const char* kSkipBadImages = "skip";

}  // namespace lorikeet
