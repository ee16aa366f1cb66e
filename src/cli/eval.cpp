#include <cstdio>
#include <memory>

#include "base/error.h"
#include "base/json.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/progress_bar.h"
#include "train/metrics.h"

namespace lorikeet::cli {
namespace {

constexpr std::size_t kConfusionClasses = 1000;

struct EvalOptions {
  ModelOptions model;
  std::vector<std::string> settings;
  std::int64_t limit = 0;
  bool json = false;
};

std::string chosen_data(const EvalOptions& options, const Model& model) {
  std::string data = model.trained_on();
  for (const auto& setting : options.settings) {
    if (setting.rfind("data=", 0) != 0)
      fail_usage("'", printable(setting), "': got an unknown setting, expected data=NAME or data=FOLDER.");
    data = setting.substr(5);
  }
  if (data.empty())
    fail_usage(options.model.name,
               ": got no data, and it does not record its training data. Name the data: data=mnist or data=FOLDER.");
  return data;
}

int eval_command(const EvalOptions& options) {
  Model model = load(options.model.name, options.model.load_options());
  const std::string data = chosen_data(options, model);
  const auto progress = [](const char* phase) {
    return [phase](std::int64_t done, std::int64_t total) {
      show_progress(phase, done, total);
      return true;
    };
  };
  const EvaluationResult found = model.evaluate(data, {.preprocess = options.model.chosen_preprocess(),
                                                       .limit = options.limit,
                                                       .progress = progress("evaluate"),
                                                       .check_progress = progress("check"),
                                                       .download = download_bar(),
                                                       .log = print_note});
  if (options.json) {
    Json out{{"model", options.model.name}, {"data", data}};
    out.update(metrics_json(found, model.classes(), kConfusionClasses));
    std::printf("%s\n", json_text(out, 2).c_str());
  } else {
    std::printf("accuracy %s (%s of %s in %s), loss %s\n", fixed(found.accuracy(), 4).c_str(),
                with_commas(found.correct).c_str(), with_commas(found.total).c_str(), data.c_str(),
                fixed(found.loss, 4).c_str());
    const Interval interval = wilson_interval(found.correct, found.total);
    const Interval top5_interval = wilson_interval(found.correct_top5, found.total);
    const std::string top5 = model.classes().size() < kTop5Classes
                                 ? ""
                                 : cat("top-5 ", fixed(found.top5_accuracy(), 4), ", 95% interval ",
                                       fixed(top5_interval.low, 4), " to ", fixed(top5_interval.high, 4), ", ");
    std::printf(
        "95%% interval %s to %s, %smacro precision %s, recall %s, F1 %s, calibration error %s\n",
        fixed(interval.low, 4).c_str(), fixed(interval.high, 4).c_str(), top5.c_str(),
        fixed(metric(found, Metric::kMacroPrecision), 4).c_str(), fixed(metric(found, Metric::kMacroRecall), 4).c_str(),
        fixed(metric(found, Metric::kMacroF1), 4).c_str(), fixed(metric(found, Metric::kCalibrationError), 4).c_str());
  }
  return 0;
}

}  // namespace

void add_eval(CLI::App& app, int& status) {
  auto* command = app.add_subcommand("eval", "Measure the accuracy of an adapter or a model on the test images");
  auto options = std::make_shared<EvalOptions>();
  options->model.add_to(*command, kAnyModel, true);
  command->add_option("settings", options->settings,
                      "data=NAME or data=FOLDER; by default what the adapter was trained on");
  command
      ->add_option("--limit", options->limit,
                   "Use only N images, of each class in proportion, always the same ones; 0: all")
      ->check(at_least(0));
  command->add_flag(
      "--json", options->json,
      "Print one JSON document on standard output, with all metrics, those of each class and the confusion matrix");
  command->footer("Uses a folder's test/, or val/ if test/ is missing or has no labels.");
  command->callback([options, &status] { status = eval_command(*options); });
}

}  // namespace lorikeet::cli
