#include "cli/progress_bar.h"

#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "base/error.h"
#include "base/text.h"
#include "cli/interrupt.h"
#include "cli/status_line.h"

namespace lorikeet::cli {
namespace {

constexpr std::size_t kBarWidth = 24;
constexpr auto kInterval = std::chrono::milliseconds(100);

bool g_quiet = false;

bool can_redraw() {
  static const bool kCan = [] {
    const char* term = std::getenv("TERM");
    return isatty(STDERR_FILENO) == 1 && (term == nullptr || std::string_view(term) != "dumb");
  }();
  return kCan;
}

// The last column stays empty: writing to it makes some terminals start a new line.
std::size_t usable_columns() { return terminal_columns() - 1; }

double share_of(double done, double total) { return total > 0 ? done / total : 0; }

// Limits redrawing to ten times a second, except at the end.
bool is_due(bool last) {
  static std::chrono::steady_clock::time_point drawn;
  const auto now = std::chrono::steady_clock::now();
  if (!last && now - drawn < kInterval) return false;
  drawn = now;
  return true;
}

void print_line(const std::string& line) {
  if (can_redraw()) std::fputs("\r\033[K", stderr);
  std::fprintf(stderr, "%s\n", printable(line, std::string::npos).c_str());
}

}  // namespace

void be_quiet() { g_quiet = true; }

bool is_quiet() { return g_quiet; }

bool shows_progress() { return can_redraw() && !g_quiet; }

void show_status(const std::string& text) {
  if (!shows_progress()) return;
  std::fprintf(stderr, "\r\033[K%s", cut(printable(text, std::string::npos), usable_columns()).c_str());
  std::fflush(stderr);
}

void print_note(const std::string& line) {
  if (!g_quiet) print_line(line);
}

void print_error(const std::string& message) { print_line("lorikeet: " + message); }

void show_training(const TrainProgress& progress) {
  if (shows_progress() && is_due(progress.done == progress.total))
    show_status(training_line(progress, usable_columns()));
}

void show_epoch(const EpochProgress& epoch) {
  static bool has_header = false;
  if (epoch.epoch == 1) has_header = false;  // another run
  const std::size_t columns = usable_columns();
  const auto styled = [](const char* style, const std::string& text) {
    return uses_colour() ? cat("\033[", style, "m", text, "\033[0m") : text;
  };
  std::fputs("\r\033[K", stderr);
  if (!has_header) std::fprintf(stderr, "%s\n", styled("2", epoch_header(epoch, columns)).c_str());
  const std::string row = epoch_row(epoch, columns);
  std::fprintf(stderr, "%s\n", epoch.is_best ? styled("1", row).c_str() : row.c_str());
  has_header = true;
}

void show_progress(const char* what, std::int64_t done, std::int64_t total) {
  if (!shows_progress() || !is_due(done == total)) return;
  show_status(done == total
                  ? ""
                  : cat(what, " ", bar(share_of(static_cast<double>(done), static_cast<double>(total)), kBarWidth), " ",
                        done, "/", total));
}

DownloadCallback download_bar() {
  return [](const DownloadProgress& p) {
    if (interrupted()) throw Interrupted{"interrupted during a download. The next attempt resumes it."};
    const bool last = p.total > 0 && p.done == p.total;
    if (!shows_progress() || !is_due(last)) return;
    std::string text = cat("download ", human_bytes(p.done));
    if (p.total > 0) {
      text += cat(" of ", human_bytes(p.total), " ",
                  bar(share_of(static_cast<double>(p.done), static_cast<double>(p.total)), kBarWidth));
    }
    show_status(last ? "" : cat(text, " ", p.file));
  };
}

}  // namespace lorikeet::cli
