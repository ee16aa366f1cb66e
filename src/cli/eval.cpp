#include <cstdio>
#include <memory>

#include "base/error.h"
#include "base/json.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/progress_bar.h"

namespace lorikeet::cli {
namespace {

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

Json by_class(const Model& model, const EvaluationResult& found) {
  Json out = Json::array();
  for (std::size_t i = 0; i < found.total_by_class.size(); ++i) {
    if (found.total_by_class[i] == 0) continue;
    out.push_back(
        {{"class", model.classes()[i]}, {"correct", found.correct_by_class[i]}, {"total", found.total_by_class[i]}});
  }
  return out;
}

int eval_command(const EvalOptions& options) {
  Model model = load(options.model.name, options.model.load_options());
  const std::string data = chosen_data(options, model);
  const auto progress = [](std::int64_t done, std::int64_t total) {
    show_evaluation(done, total);
    return true;
  };
  const EvaluationResult found = model.evaluate(data, {.preprocess = options.model.chosen_preprocess(),
                                                       .limit = options.limit,
                                                       .progress = progress,
                                                       .download = download_bar(),
                                                       .log = print_note});
  if (options.json) {
    const Json out{{"model", options.model.name},      {"data", data},         {"accuracy", found.accuracy()},
                   {"correct", found.correct},         {"total", found.total}, {"loss", found.loss},
                   {"classes", by_class(model, found)}};
    std::printf("%s\n", json_text(out, 2).c_str());
  } else {
    std::printf("accuracy %s (%s of %s in %s), loss %s\n", fixed(found.accuracy(), 4).c_str(),
                with_commas(found.correct).c_str(), with_commas(found.total).c_str(), data.c_str(),
                fixed(found.loss, 4).c_str());
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
  command->add_option("--limit", options->limit, "Use only the first N images; 0: all")->check(at_least(0));
  command->add_flag("--json", options->json, "Print one JSON document on standard output, with results per class");
  command->footer("Uses a folder's test/, or val/ if test/ is missing or has no labels.");
  command->callback([options, &status] { status = eval_command(*options); });
}

}  // namespace lorikeet::cli
