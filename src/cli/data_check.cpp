// lorikeet data check: what is wrong with a dataset, before training.
#include "cli/data_check.h"

#include <algorithm>
#include <cstdio>

#include "base/error.h"
#include "base/json.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/progress_bar.h"
#include "data/check.h"
#include "data/datasets.h"
#include "report/table.h"

namespace lorikeet::cli {
namespace {

constexpr double kSkewed = 3;  // largest class / smallest class, from which the report mentions class weights
constexpr std::size_t kMostGroups = 20;

std::string range_text(const std::array<std::int64_t, 2>& range) {
  return range[0] == range[1] ? cat(range[0]) : cat(range[0], "-", range[1]);
}

Json report_json(const DataReport& report, const std::string& data, const std::vector<std::string>& notes) {
  Json splits = Json::object(), unreadable = Json::array();
  for (const SplitReport& split : report.splits) {
    Json by_class = Json::object();
    auto& members = by_class.get_ref<Json::object_t&>();  // whose operator[] searches all of them
    for (std::size_t i = 0; i < report.classes.size(); ++i) members.emplace_back(report.classes[i], split.by_class[i]);
    splits[split.name] = {
        {"images", split.images}, {"by_class", by_class}, {"width", split.width}, {"height", split.height}};
  }
  for (const UnreadableImage& image : report.unreadable)
    unreadable.push_back({{"image", image.image}, {"error", image.problem}});
  return {{"data", data},
          {"ok", report.ok()},
          {"classes", report.classes},
          {"splits", splits},
          {"faults", report.faults},
          {"unreadable", unreadable},
          {"in_several_splits", report.leaks},
          {"several_labels", report.conflicts},
          {"duplicates", report.duplicates},
          {"imbalance", report.imbalance},
          {"notes", notes}};
}

void print_groups(const char* title, const std::vector<SameImages>& groups) {
  if (groups.empty()) return;
  std::printf("\n%s: %zu\n", title, groups.size());
  for (std::size_t i = 0; i < std::min(groups.size(), kMostGroups); ++i)
    std::printf("  %s\n", printable(join(groups[i], " = "), std::string::npos).c_str());
  if (groups.size() > kMostGroups) std::printf("  and %zu more; --json lists them all\n", groups.size() - kMostGroups);
}

std::string missing_ends(const Splits& splits) {
  return note_of_missing_ends({splits.train, splits.validation, splits.test});
}

std::string one_class_text(const DataReport& report) {
  return cat("All images are of one class, ", printable(report.classes.front()),
             ", so there is nothing to tell apart: training needs at least two.");
}

void print_report(const DataReport& report) {
  Table sizes({{"split"}, {"images", true}, {"classes", true}, {"width", true}, {"height", true}});
  for (const SplitReport& split : report.splits) {
    const auto present = std::count_if(split.by_class.begin(), split.by_class.end(), [](auto n) { return n > 0; });
    sizes.add({split.name, with_commas(split.images), cat(present), range_text(split.width), range_text(split.height)});
  }
  std::printf("%s\n", sizes.markdown().c_str());
  std::vector<Table::Column> columns{{"class"}};
  for (const SplitReport& split : report.splits) columns.push_back({split.name, true});
  Table counts(columns);
  for (std::size_t i = 0; i < report.classes.size(); ++i) {
    std::vector<std::string> row{printable(report.classes[i])};
    for (const SplitReport& split : report.splits) row.push_back(with_commas(split.by_class[i]));
    counts.add(row);
  }
  std::printf("%s", counts.markdown().c_str());
  if (report.imbalance >= kSkewed) {
    std::printf(
        "\nThe largest class of train has %s times the images of the smallest; see class_weights and "
        "sampling of 'lorikeet train --help'.\n",
        fixed(report.imbalance, 1).c_str());
  }
  if (!report.faults.empty()) {
    std::printf("\nFaults of the structure: %zu\n", report.faults.size());
    for (const std::string& fault : report.faults) std::printf("  %s\n", printable(fault, std::string::npos).c_str());
  }
  if (!report.unreadable.empty()) {
    std::printf("\nImages that cannot be read: %zu\n", report.unreadable.size());
    for (const UnreadableImage& image : report.unreadable)
      std::printf("  %s\n", printable(image.problem, std::string::npos).c_str());
  }
  print_groups("The same picture in several splits", report.leaks);
  print_groups("The same picture with several labels", report.conflicts);
  print_groups("The same picture more than once (harmless)", report.duplicates);
  const bool is_one_class = report.classes.size() == 1;
  if (is_one_class) std::printf("\n%s\n", one_class_text(report).c_str());
  std::printf("\n%s\n", !report.ok() ? "Faults found." : is_one_class ? "No other faults." : "No faults.");
}

}  // namespace

int check_command(const CheckOptions& options) {
  std::vector<std::string> faults;
  OpenOptions how;
  how.faults = &faults;
  how.split->validation = options.validation_share;
  how.split->test = options.test_share;
  how.split->seed = static_cast<std::uint64_t>(options.split_seed);
  Splits splits = open_dataset(options.data, download_bar(), how);
  if (!options.json) {
    for (const std::string& note : splits.notes) print_note(note);
  }
  catch_interrupts();
  bool stopped = false;
  DataReport report = check_data(splits, options.threads, [&](std::int64_t done, std::int64_t total) {
    show_progress("check", done, total);
    stopped = interrupted();
    return !stopped;
  });
  show_status("");
  report.faults = std::move(faults);
  if (stopped) return interrupt_status();
  if (const std::string note = report.unreadable.empty() ? missing_ends(splits) : ""; !note.empty()) {
    splits.notes.push_back(note);
    if (!options.json) print_note(note);
  }
  if (options.json) {
    if (report.classes.size() == 1) splits.notes.push_back(one_class_text(report));
    std::printf("%s\n", json_text(report_json(report, options.data, splits.notes), 2).c_str());
  } else {
    print_report(report);
  }
  return report.ok() ? 0 : kFailed;
}

}  // namespace lorikeet::cli
