#include "train/metrics_files.h"

#include <algorithm>
#include <chrono>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "base/text.h"

namespace fs = std::filesystem;

namespace lorikeet {
namespace {

double now() { return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count(); }

// Of one kind of line: columns in the order in which they first occur. A line with the same `key` as the one before
// replaces it: an epoch that max_steps cut and an extended run completed.
class CsvTable {
 public:
  explicit CsvTable(std::string key) : key_(std::move(key)) {}

  void add(const Json& line) {
    if (!rows_.empty() && rows_.back().value(key_, Json()) == line.value(key_, Json())) rows_.pop_back();
    for (const auto& [key, value] : line.items()) {
      if (std::find(columns_.begin(), columns_.end(), key) == columns_.end()) columns_.push_back(key);
    }
    rows_.push_back(line);
  }

  std::string text() const {
    std::string out = join(columns_, ",") + "\n";
    for (const Json& row : rows_) {
      std::vector<std::string> cells;
      for (const auto& column : columns_) {
        const auto value = row.find(column);
        cells.push_back(value != row.end() && value->is_number() ? json_text(*value) : std::string());
      }
      out += join(cells, ",");
      out += '\n';
    }
    return out;
  }

 private:
  std::string key_;
  std::vector<std::string> columns_;
  std::vector<Json> rows_;
};

}  // namespace

std::uint64_t each_metrics_line(const fs::path& metrics, std::uint64_t begin,
                                const std::function<void(const Json&)>& visit) {
  std::ifstream in(metrics, std::ios::binary);
  in.seekg(static_cast<std::streamoff>(begin));
  for (std::string line; std::getline(in, line) && !in.eof();) {
    begin += line.size() + 1;
    try {
      if (const Json json = parse_json(line, metrics.string()); json.is_object()) visit(json);
    } catch (const Error&) {
      // a line that a killed process left incomplete
    }
  }
  return begin;
}

void EventLog::start() {
  start_ = last_time_ = now();
  file_ = std::make_unique<EventFile>(run_ / kEvents, start_);
}

void EventLog::add_line(const Json& line) {
  std::vector<std::pair<std::string, double>> scalars;
  const bool is_step = line.contains("step") && line.at("step").is_number_integer();
  for (const auto& [key, value] : line.items()) {
    if (!value.is_number() || key == "step" || key == "epoch") continue;
    if (key == "seconds") {
      if (is_step) last_time_ = start_ + value.get<double>();
      continue;
    }
    std::string tag = key;
    if (key == "train_loss") tag = "train/epoch_loss";
    for (const char* split : {"train", "validation"}) {
      if (const std::string prefix = cat(split, "_"); key.starts_with(prefix) && key != "train_loss")
        tag = cat(split, "/", key.substr(prefix.size()));
    }
    scalars.emplace_back(is_step ? "train/" + key : tag, value.get<double>());
  }
  if (is_step) last_step_ = line.at("step").get<std::int64_t>();
  if (!scalars.empty()) file_->add(last_step_, last_time_, scalars);
}

void EventLog::update() {
  if (std::error_code missing; fs::file_size(run_ / "metrics.jsonl", missing) < read_) {  // training went back
    read_ = 0;
    file_.reset();
  }
  if (!file_) start();
  read_ = each_metrics_line(run_ / "metrics.jsonl", read_, [&](const Json& line) { add_line(line); });
  file_->flush();
}

void EventLog::add(const std::vector<std::pair<std::string, double>>& scalars) {
  if (!file_) start();
  file_->add(last_step_, now(), scalars);
  file_->flush();
}

void write_metrics_csv(const fs::path& run) {
  CsvTable steps("step"), epochs("epoch");
  each_metrics_line(run / "metrics.jsonl", 0,
                    [&](const Json& line) { (line.contains("step") ? steps : epochs).add(line); });
  write_file(run / "steps.csv", steps.text());
  write_file(run / "epochs.csv", epochs.text());
}

}  // namespace lorikeet
