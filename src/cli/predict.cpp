#include <algorithm>
#include <cstdio>
#include <memory>

#include "base/error.h"
#include "base/json.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/progress_bar.h"

namespace lorikeet::cli {
namespace {

struct PredictOptions {
  ModelOptions model;
  std::vector<std::string> images;
  std::size_t top = 1;
  std::string logits;
  bool json = false;
};

// The logits of readable images, and the problems with the others.
struct Answers {
  Logits logits;
  std::vector<std::string> problems;  // one per image; empty if it has a row of logits
};

void append(const Logits& rows, Logits& to) {
  to.rows += rows.rows;
  to.values.insert(to.values.end(), rows.values.begin(), rows.values.end());
}

Answers answer(Model& model, const PredictOptions& options) {
  constexpr std::size_t kBatch = 64;
  const auto preprocess = options.model.chosen_preprocess();
  Answers out;
  out.logits.columns = static_cast<std::int64_t>(model.classes().size());
  for (std::size_t begin = 0; begin < options.images.size(); begin += kBatch) {
    const auto first = options.images.begin() + static_cast<std::ptrdiff_t>(begin);
    const auto last =
        options.images.begin() + static_cast<std::ptrdiff_t>(std::min(begin + kBatch, options.images.size()));
    try {
      append(model.logits({first, last}, preprocess), out.logits);
      out.problems.resize(out.problems.size() + static_cast<std::size_t>(last - first));
      continue;
    } catch (const UsageError&) {
      throw;
    } catch (const Error&) {
      // An image of the batch failed; running them individually shows which.
    }
    for (auto image = first; image != last; ++image) {
      std::string problem;
      try {
        append(model.logits({*image}, preprocess), out.logits);
      } catch (const UsageError&) {
        throw;
      } catch (const Error& error) {
        problem = error.what();
      }
      out.problems.push_back(problem);
    }
  }
  return out;
}

int predict_command(const PredictOptions& options) {
  Model model = load(options.model.name, options.model.load_options());
  const Answers answers = answer(model, options);
  const bool is_complete = answers.logits.rows == static_cast<std::int64_t>(options.images.size());
  // Written first: a command that fails prints no results.
  if (!options.logits.empty() && is_complete) save_logits(answers.logits, options.logits);
  const auto predictions = model.predictions(answers.logits, std::min(options.top, model.classes().size()));
  Json out = Json::array();
  std::size_t row = 0;
  for (std::size_t i = 0; i < options.images.size(); ++i) {
    if (const std::string& problem = answers.problems[i]; !problem.empty()) {
      print_error(problem);
      out.push_back({{"image", options.images[i]}, {"error", problem}});
      continue;
    }
    Json list = Json::array();
    std::string text;
    for (const auto& prediction : predictions[row++]) {
      list.push_back(
          {{"class", prediction.label}, {"index", prediction.index}, {"probability", prediction.probability}});
      text += cat(text.empty() ? "  " : ", ", printable(prediction.label), " ", fixed(prediction.probability, 4));
    }
    out.push_back({{"image", options.images[i]}, {"predictions", list}});
    if (!options.json) std::printf("%s%s\n", printable(options.images[i], std::string::npos).c_str(), text.c_str());
  }
  if (options.json) std::printf("%s\n", json_text(out, 2).c_str());
  if (!options.logits.empty() && !is_complete)
    print_error(options.logits + ": not written, because its rows would not correspond to the images.");
  return is_complete ? 0 : kFailed;
}

}  // namespace

void add_predict(CLI::App& app, int& status) {
  auto* command = app.add_subcommand("predict", "Classify images with an adapter or a model");
  auto options = std::make_shared<PredictOptions>();
  options->model.add_to(*command, kAnyModel, true);
  command->add_option("images", options->images, "JPEG or PNG files")->required();
  command->add_option("--top", options->top, "Number of classes per image")->check(at_least(1))->capture_default_str();
  command
      ->add_option("--logits", options->logits,
                   "Also write the logits: one tensor (images, classes) in a safetensors file")
      ->type_name("OUT");
  command->add_flag("--json", options->json, "Print one JSON array on standard output");
  command->footer(
      "Probabilities are the softmax of the logits. Unreadable images are reported on standard error, with exit code "
      "1; --json has \"error\" for them instead of \"predictions\". In that case --logits writes nothing.");
  command->callback([options, &status] { status = predict_command(*options); });
}

}  // namespace lorikeet::cli
