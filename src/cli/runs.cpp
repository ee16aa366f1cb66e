#include "cli/runs.h"

#include "base/text.h"
#include "cli/interrupt.h"
#include "cli/progress_bar.h"
#include "train/run_folder.h"

namespace fs = std::filesystem;

namespace lorikeet::cli {

fs::path free_run_folder(const fs::path& recipe) {
  const fs::path first = fs::path("runs") / recipe.stem();
  fs::path path = first;
  for (int number = 2; is_run_folder(path); ++number) path = first.string() + "-" + std::to_string(number);
  return path;
}

TrainSummary train_visibly(const Recipe& recipe, bool replace) {
  catch_interrupts();
  const auto progress = [](const TrainProgress& now) {
    show_training(now);
    return !interrupted();
  };
  const TrainSummary summary =
      train(recipe, {.progress = progress, .log = print_note, .download = download_bar()}, replace);
  show_status("");
  return summary;
}

}  // namespace lorikeet::cli
