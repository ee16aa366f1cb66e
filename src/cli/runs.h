// Runs as the commands name and show them.
#pragma once

#include <filesystem>
#include <string>

#include "train/train.h"

namespace lorikeet::cli {

/// What a run of this recipe is called: RECIPE, or RUN for the recipe.yaml in a run's folder.
std::string run_name(const std::filesystem::path& recipe);

/// runs/RECIPE, or beside a run's folder whose recipe.yaml it is; with -2 … where that is taken.
std::filesystem::path free_run_folder(const std::filesystem::path& recipe);

/// Trains with a progress bar; Ctrl-C interrupts.
TrainSummary train_visibly(const Recipe& recipe, bool replace);

}  // namespace lorikeet::cli
