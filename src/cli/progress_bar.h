// Progress on the terminal: one line that is redrawn, and a table of epochs. If standard error is not a terminal, only
// whole lines are printed.
#pragma once

#include <string>

#include "lorikeet/progress.h"

namespace lorikeet::cli {

/// From now on, print_note and the progress functions do nothing.
void be_quiet();
bool is_quiet();

/// Whether progress is shown: standard error is a terminal that can redraw a line, and be_quiet was not called.
bool shows_progress();

/// Replaces the displayed line with `text`, cut to the terminal's width; an empty `text` removes it.
void show_status(const std::string& text);

/// Removes the status line and prints `line` to standard error, its control characters escaped.
void print_note(const std::string& line);
/// The same with the prefix "lorikeet: ", for errors and warnings, even if be_quiet was called.
void print_error(const std::string& message);

void show_training(const TrainProgress& progress);
/// `what` is the verb before the bar: "evaluate".
void show_progress(const char* what, std::int64_t done, std::int64_t total);

/// Prints a row of the table of epochs, and its header before the first. REQUIRES: shows_progress().
void show_epoch(const EpochProgress& epoch);

/// Shows download progress; throws Interrupted after Ctrl-C.
DownloadCallback download_bar();

}  // namespace lorikeet::cli
