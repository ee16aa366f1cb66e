// Runs as the commands name and show them.
#pragma once

#include <filesystem>
#include <string>

#include "train/train.h"

namespace lorikeet::cli {

/// runs/RECIPE, or runs/RECIPE-2 … where that is taken.
std::filesystem::path free_run_folder(const std::filesystem::path& recipe);

/// Trains with a progress bar; Ctrl-C interrupts.
TrainSummary train_visibly(const Recipe& recipe, bool replace);

}  // namespace lorikeet::cli
