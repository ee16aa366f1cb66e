// Names and displays runs.
#pragma once

#include <filesystem>
#include <string>

#include "train/train.h"

namespace lorikeet::cli {

/// The name of a run of this recipe: RECIPE, or RUN for the recipe.yaml in a run folder.
std::string run_name(const std::filesystem::path& recipe);

/// Returns runs/RECIPE or, for the recipe.yaml in a run folder, a folder beside it; with suffix -2 … if it exists.
std::filesystem::path free_run_folder(const std::filesystem::path& recipe);

/// Trains with a progress bar; Ctrl-C interrupts.
TrainSummary train_visibly(const Recipe& recipe, bool replace);

}  // namespace lorikeet::cli
