#include "cli/runs.h"

#include "base/text.h"
#include "cli/interrupt.h"
#include "cli/progress_bar.h"
#include "train/defaults.h"
#include "train/run_folder.h"

namespace fs = std::filesystem;

namespace lorikeet::cli {
namespace {

TrainCallbacks visible_callbacks() {
  catch_interrupts();
  const auto progress = [](const TrainProgress& now) {
    show_training(now);
    return !interrupted();
  };
  TrainCallbacks callbacks{.progress = progress, .log = print_note, .epoch = {}, .download = download_bar()};
  if (shows_progress()) callbacks.epoch = show_epoch;
  return callbacks;
}

}  // namespace

fs::path own_run(const fs::path& recipe) {
  if (recipe.filename() != "recipe.yaml") return {};
  const fs::path folder = recipe.has_parent_path() ? recipe.parent_path() : fs::absolute(recipe).parent_path();
  const bool is_run = fs::exists(folder / "metrics.jsonl") || fs::exists(folder / "summary.json");
  return is_run && folder.has_filename() ? folder : fs::path();
}

std::string run_name(const fs::path& recipe) {
  const fs::path run = own_run(recipe);
  return (run.empty() ? recipe.stem() : run.filename()).string();
}

fs::path free_run_folder(const fs::path& recipe) {
  const fs::path run = own_run(recipe);
  const fs::path first = run.empty() ? fs::path("runs") / recipe.stem() : run;
  fs::path path = first;
  for (int number = 2; is_run_folder(path); ++number) path = first.string() + "-" + std::to_string(number);
  return path;
}

TrainSummary train_visibly(const Recipe& recipe, bool replace) {
  const TrainSummary summary = train(recipe, visible_callbacks(), replace);
  show_status("");
  return summary;
}

TrainSummary train_defaults_visibly(const std::vector<std::string>& overrides, bool replace) {
  const TrainCallbacks callbacks = visible_callbacks();
  DefaultRecipe chosen = default_recipe(overrides, callbacks);
  if (chosen.recipe.run.empty()) chosen.recipe.run = free_run_folder(fs::absolute(chosen.recipe.data.name));
  const TrainSummary summary =
      train(chosen.recipe, callbacks,
            RunStart{.replace = replace, .notes = std::move(chosen.notes), .data = std::move(chosen.data)});
  show_status("");
  return summary;
}

TrainSummary resume_visibly(const fs::path& run, const std::vector<std::string>& overrides) {
  const TrainSummary summary = resume(run, overrides, visible_callbacks());
  show_status("");
  return summary;
}

}  // namespace lorikeet::cli
