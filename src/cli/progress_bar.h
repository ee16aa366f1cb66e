// A progress line on the terminal. Does nothing if standard error is not a terminal.
#pragma once

#include <string>

#include "lorikeet/progress.h"

namespace lorikeet::cli {

/// Replaces the displayed line with `text`; an empty `text` removes it.
void show_status(const std::string& text);

/// Removes the status line and prints `line` to standard error, its control characters escaped.
void print_note(const std::string& line);

void show_training(const TrainProgress& progress);
void show_evaluation(std::int64_t done, std::int64_t total);

/// Shows download progress; throws Interrupted after Ctrl-C.
DownloadCallback download_bar();

}  // namespace lorikeet::cli
