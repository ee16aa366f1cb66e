// A progress line on the terminal. Nothing if standard error is no terminal.
#pragma once

#include <string>

#include "lorikeet/progress.h"

namespace lorikeet::cli {

/// Replaces the line that is shown by `text`; an empty one removes it.
void show_status(const std::string& text);

/// Removes the status line and prints `line` to standard error, its control characters escaped.
void print_note(const std::string& line);

void show_training(const TrainProgress& progress);
void show_evaluation(std::int64_t done, std::int64_t total);

/// Shows a download; throws Error if Ctrl-C was pressed.
DownloadCallback download_bar();

}  // namespace lorikeet::cli
