// Names and displays runs.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "train/train.h"

namespace lorikeet::cli {

/// Returns the run folder if the recipe is a run's own recipe.yaml; empty otherwise.
std::filesystem::path own_run(const std::filesystem::path& recipe);

/// The name of a run of this recipe: RECIPE, or RUN for the recipe.yaml in a run folder.
std::string run_name(const std::filesystem::path& recipe);

/// Returns runs/RECIPE or, for the recipe.yaml in a run folder, a folder beside it; with suffix -2 … if it exists.
std::filesystem::path free_run_folder(const std::filesystem::path& recipe);

/// Trains with a progress bar; Ctrl-C interrupts.
TrainSummary train_visibly(const Recipe& recipe, bool replace);
/// Chooses a recipe (train/defaults.h), and trains it likewise.
TrainSummary train_defaults_visibly(const std::vector<std::string>& overrides, bool replace);
/// Continues a run, likewise.
TrainSummary resume_visibly(const std::filesystem::path& run, const std::vector<std::string>& overrides);

}  // namespace lorikeet::cli
