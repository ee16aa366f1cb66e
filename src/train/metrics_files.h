// A run's metrics for other programs, derived from metrics.jsonl: TensorBoard's events, and CSV.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>

#include "base/json.h"
#include "io/event_file.h"

namespace lorikeet {

/// The TensorBoard event file of a run folder.
inline constexpr const char* kEvents = "events.out.tfevents.lorikeet";

/// Calls `visit` with each complete line of a metrics.jsonl that is a JSON object, from byte `begin`. Returns the end
/// of the last line. A missing file has no lines.
std::uint64_t each_metrics_line(const std::filesystem::path& metrics, std::uint64_t begin,
                                const std::function<void(const Json&)>& visit);

/// Keeps an event file in the run folder up to date. Its tags are train/loss, train/learning_rate, train/epoch_loss,
/// train/accuracy, validation/loss, validation/accuracy …, by training step.
class EventLog {
 public:
  explicit EventLog(std::filesystem::path run) : run_(std::move(run)) {}

  /// Appends the lines of metrics.jsonl since the last call. The first call replaces the event file, and so does one
  /// after metrics.jsonl was shortened.
  void update();
  /// Appends values at the last step, and calls flush.
  void add(const std::vector<std::pair<std::string, double>>& scalars);

 private:
  void start();
  void add_line(const Json& line);

  std::filesystem::path run_;
  std::unique_ptr<EventFile> file_;
  std::uint64_t read_ = 0;  // bytes of metrics.jsonl
  double start_ = 0;        // seconds since 1970
  double last_time_ = 0;
  std::int64_t last_step_ = 0;
};

/// Writes steps.csv and epochs.csv, with one row for each step and each epoch of metrics.jsonl. The columns are the
/// keys.
void write_metrics_csv(const std::filesystem::path& run);

}  // namespace lorikeet
