#include "cli/progress_bar.h"

#include <unistd.h>

#include <chrono>
#include <cstdio>

#include "base/error.h"
#include "base/text.h"
#include "cli/interrupt.h"

namespace lorikeet::cli {
namespace {

constexpr int kBarWidth = 24;
constexpr auto kInterval = std::chrono::milliseconds(100);

bool is_terminal() {
  static const bool kIs = isatty(STDERR_FILENO) == 1;
  return kIs;
}

std::string bar(double share) {
  const int filled = static_cast<int>(share * kBarWidth + 0.5);
  std::string out;
  for (int i = 0; i < kBarWidth; ++i) out += i < filled ? "█" : "░";
  return out;
}

double share_of(double done, double total) { return total > 0 ? done / total : 0; }

// Limits redrawing to ten times a second, except at the end.
bool is_due(bool last) {
  static std::chrono::steady_clock::time_point drawn;
  const auto now = std::chrono::steady_clock::now();
  if (!last && now - drawn < kInterval) return false;
  drawn = now;
  return true;
}

}  // namespace

void show_status(const std::string& text) {
  if (!is_terminal()) return;
  std::fprintf(stderr, "\r\033[K%s", text.c_str());
  std::fflush(stderr);
}

void print_note(const std::string& line) {
  show_status("");
  std::fprintf(stderr, "%s\n", printable(line, std::string::npos).c_str());
}

void show_training(const TrainProgress& p) {
  if (!is_terminal() || !is_due(p.done == p.total)) return;
  std::string text =
      cat(p.phase, " ", p.epoch, "/", p.epochs, " ",
          bar(share_of(static_cast<double>(p.done), static_cast<double>(p.total))), " ", p.done, "/", p.total);
  if (p.images_per_second > 0 && p.phase == "train") text += cat(", ", fixed(p.images_per_second, 0), " img/s");
  text += cat(", loss ", fixed(p.loss, 4), ", accuracy ", fixed(p.accuracy, 4));
  if (p.seconds_left > 0) text += cat(", ", clock(p.seconds_left), " left");
  show_status(text);
}

void show_evaluation(std::int64_t done, std::int64_t total) {
  if (!is_terminal() || !is_due(done == total)) return;
  show_status(done == total ? ""
                            : cat("evaluate ", bar(share_of(static_cast<double>(done), static_cast<double>(total))),
                                  " ", done, "/", total));
}

DownloadCallback download_bar() {
  return [](const DownloadProgress& p) {
    if (interrupted()) throw Interrupted{"interrupted during a download. The next attempt resumes it."};
    const bool last = p.total > 0 && p.done == p.total;
    if (!is_terminal() || !is_due(last)) return;
    std::string text = cat("download ", p.file, " ", human_bytes(p.done));
    if (p.total > 0)
      text += cat(" of ", human_bytes(p.total), " ",
                  bar(share_of(static_cast<double>(p.done), static_cast<double>(p.total))));
    show_status(last ? "" : text);
  };
}

}  // namespace lorikeet::cli
