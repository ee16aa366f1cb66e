// Lines that fit the width of a terminal.
#pragma once

#include <unistd.h>

#include <cstddef>
#include <string>

#include "lorikeet/progress.h"

namespace lorikeet::cli {

/// Returns the columns of the terminal on standard error or output, at least 20: its size, else $COLUMNS, else 80.
std::size_t terminal_columns(int descriptor = STDERR_FILENO);

/// Breaks lines that are longer than `columns` characters between words. The rest of a line is indented as its last
/// column, which follows two or more spaces.
std::string wrapped(const std::string& text, std::size_t columns);

/// Whether standard error may receive colours: $NO_COLOR is empty or not set (no-color.org).
bool uses_colour();

/// Images per second, with a decimal if there are fewer than ten.
std::string speed_text(double images_per_second);

/// A bar of `width` characters.
std::string bar(double share, std::size_t width);

/// The first `columns` characters of `text`.
std::string cut(const std::string& text, std::size_t columns);

/// Epoch, bar, images, speed, loss, accuracy and time left in at most `columns` characters: less important parts are
/// shortened, then omitted.
std::string training_line(const TrainProgress& progress, std::size_t columns);

/// Header and row of the table of epochs, at most `columns` characters without colours.
std::string epoch_header(const EpochProgress& epoch, std::size_t columns);
std::string epoch_row(const EpochProgress& epoch, std::size_t columns);

}  // namespace lorikeet::cli
