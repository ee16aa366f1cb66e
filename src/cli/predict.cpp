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

int predict_command(const PredictOptions& options) {
  Model model = load(options.model.name, options.model.load_options());
  const Logits logits = model.logits({options.images.begin(), options.images.end()}, options.model.chosen_preprocess());
  const auto guesses = model.guesses(logits, options.top);
  if (!options.logits.empty()) save_logits(logits, options.logits);
  Json out = Json::array();
  for (std::size_t i = 0; i < guesses.size(); ++i) {
    Json list = Json::array();
    std::string text;
    for (const auto& guess : guesses[i]) {
      list.push_back({{"class", guess.name}, {"index", guess.index}, {"probability", guess.probability}});
      text += cat(text.empty() ? "  " : ", ", printable(guess.name), " ", fixed(guess.probability, 4));
    }
    out.push_back({{"image", options.images[i]}, {"guesses", list}});
    if (!options.json) std::printf("%s%s\n", options.images[i].c_str(), text.c_str());
  }
  if (options.json) std::printf("%s\n", out.dump(2).c_str());
  return 0;
}

}  // namespace

void add_predict(CLI::App& app, int& status) {
  auto* command = app.add_subcommand("predict", "What is on pictures, by an adapter or a model");
  auto options = std::make_shared<PredictOptions>();
  options->model.add_to(*command, "An adapter's or a run's folder, a model's name, or a weights file", true);
  command->add_option("images", options->images, "JPEG or PNG files")->required();
  command->add_option("--top", options->top, "How many classes to name")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command
      ->add_option("--logits", options->logits,
                   "Write the logits too: one tensor (images, classes) in a safetensors file")
      ->type_name("OUT");
  command->add_flag("--json", options->json, "Print one JSON array on standard output");
  command->footer("Probabilities are SoftMax's.");
  command->callback([options, &status] { status = predict_command(*options); });
}

}  // namespace lorikeet::cli
