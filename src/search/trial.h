// One trial of a search: a training run that stops at the end of each stage, where its adapter is stored in files of
// several precisions and measured on the validation images.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "loading/loaded_model.h"
#include "lorikeet/progress.h"
#include "search/folder.h"
#include "train/loop.h"
#include "train/recipe.h"
#include "train/training_data.h"

namespace lorikeet {

/// What all trials share.
struct TrialInputs {
  const SearchFolder& folder;
  const SearchPlan& plan;
  std::shared_ptr<const BaseModel> base;
  /// Without validation and test images.
  const CheckedData& data;
  /// The images on which the last stage is measured, and some of them for earlier ones.
  std::shared_ptr<const Dataset> validation;
  std::shared_ptr<const Dataset> some_validation;
  OpenCache open_cache = {};
};

/// The recipe of a trial up to the end of a stage, without its folder. `lorikeet train` with it gives the same adapter
/// as the trial, which was extended from stage to stage.
Recipe trial_recipe(const SearchPlan& plan, std::size_t number, std::size_t stage);

/// Trains the trial to the end of the stage, from where it is or, if its run cannot be resumed, from its start, which
/// gives the same adapter. Nothing if `progress` stopped it: it can go on later. Throws DivergedError as training does,
/// and Error. REQUIRES: the claim of the trial.
std::optional<StageResult> run_stage(const TrialInputs& inputs, std::size_t number, std::size_t stage,
                                     const TrainCallback& progress);

/// Writes the adapter of a trial after a stage in a precision to `path`.
void write_trial_adapter(const TrialInputs& inputs, std::size_t number, std::size_t stage, FilePrecision precision,
                         const std::filesystem::path& path);

}  // namespace lorikeet
