#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/compute.h"
#include "base/error.h"
#include "base/json.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/progress_bar.h"
#include "cli/runs.h"
#include "cli/status_line.h"
#include "train/recipe.h"
#include "train/resume.h"

namespace fs = std::filesystem;

namespace lorikeet::cli {
namespace {

struct TrainOptions {
  std::string recipe;
  std::vector<std::string> overrides;
  std::string resume;
  bool force = false;
  bool json = false;
};

// Of the adapter's tensors. A head has a file of its own, and without layers to adapt it is everything.
std::string size_text(const TrainSummary& summary) {
  std::error_code none;
  const auto head = std::filesystem::file_size(summary.adapter / "head.safetensors", none);
  return human_bytes(summary.adapter_bytes) + (none ? "" : cat(" and head file ", human_bytes(head)));
}

// Quotes `text` for a shell if it needs quotes.
std::string shell_quoted(const std::string& text) {
  if (!text.empty() && plain_text(text, "/._-+:@%,=") == text) return text;
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

std::string measured_text(const EvaluationResult& result) {
  const Interval interval = wilson_interval(result.correct, result.total);
  return cat(fixed(result.accuracy(), 4), " (", with_commas(result.correct), " of ", with_commas(result.total),
             "), 95% interval ", fixed(interval.low, 4), " to ", fixed(interval.high, 4));
}

void print_next_commands(const std::string& run) {
  const std::string folder = shell_quoted(run);
  std::printf("\nNext:\n  lorikeet eval %s\n  lorikeet predict %s IMAGE...\n  lorikeet merge %s --out model.pth\n",
              folder.c_str(), folder.c_str(), folder.c_str());
  std::printf("Report: %s\n", shell_quoted(run + "/report.html").c_str());
}

TrainSummary run(const TrainOptions& options) {
  std::error_code ignored;
  const bool has_recipe = options.recipe.find('=') == std::string::npos || fs::exists(options.recipe, ignored);
  std::vector<std::string> overrides = options.overrides;
  if (!options.recipe.empty()) overrides.insert(overrides.begin(), options.recipe);  // the first key=value
  if (!options.resume.empty()) {
    if (options.force) fail_usage("--force: got it with --resume, expected one of the two.");
    if (has_recipe && !options.recipe.empty()) {
      fail_usage("--resume: got the recipe ", printable(options.recipe),
                 " too, expected no recipe: the run has its own. Change keys with key=value.");
    }
    return resume_visibly(options.resume, overrides);
  }
  if (!has_recipe || options.recipe.empty()) return train_defaults_visibly(overrides, options.force);
  Recipe recipe = load_recipe(options.recipe, options.overrides);
  if (recipe.run.empty()) recipe.run = free_run_folder(options.recipe);
  return train_visibly(recipe, options.force);
}

int train_command(const TrainOptions& options) {
  const TrainSummary summary = run(options);
  const Recipe& recipe = summary.recipe;
  if (summary.interrupted) {
    print_error(cat("interrupted after ", counted(summary.loop.steps, "step"), "; the adapter trained so far is in ",
                    summary.adapter.string(), ". Continue with 'lorikeet train --resume ", recipe.run.string(), "'."));
    return interrupt_status();
  }
  if (options.json) {
    std::printf("%s\n", json_text(summary_json(summary, recipe), 2).c_str());
    return 0;
  }
  const std::string file =
      cat("adapter.lorikeet ", human_bytes(summary.adapter_file_bytes), " in ", name_of(recipe.file_precision));
  const std::string folder = cat("adapter file ", size_text(summary));
  // First what the recipe asks for.
  const bool is_file = recipe.file_precision != FilePrecision::kFloat32;
  std::printf("%s\n%s, %s, trained in %s (%s img/s); %s\n",
              is_file ? (recipe.run / "adapter.lorikeet").c_str() : summary.adapter.c_str(),
              counted(summary.trainable_parameters, "trainable parameter").c_str(), (is_file ? file : folder).c_str(),
              clock(summary.loop.seconds).c_str(), speed_text(summary.loop.images_per_second()).c_str(),
              (is_file ? folder : file).c_str());
  if (summary.test.total > 0)
    std::printf("%s accuracy %s\n", summary.test_split.c_str(), measured_text(summary.test).c_str());
  if (summary.file_test.total > 0)
    std::printf("%s accuracy of adapter.lorikeet %s\n", summary.test_split.c_str(),
                measured_text(summary.file_test).c_str());
  if (isatty(STDOUT_FILENO) == 1 && !is_quiet()) print_next_commands(recipe.run.string());
  return 0;
}

}  // namespace

void add_train(CLI::App& app, int& status) {
  auto* command = app.add_subcommand("train", "Train an adapter into a run folder, from a recipe or from data alone");
  auto options = std::make_shared<TrainOptions>();
  command->add_option("recipe", options->recipe, "YAML file; without one, data=FOLDER decides the rest");
  command->add_option("overrides", options->overrides, "key=value: replaces the recipe's value");
  command
      ->add_option("--resume", options->resume,
                   "Continue the run in this folder from its last checkpoint, with its own recipe")
      ->type_name("RUN");
  command->add_flag("--force", options->force, "Replace the run in the folder, once the new one has a checkpoint");
  command->add_flag("--json", options->json, "Print the summary as JSON on standard output");
  command->footer(
      "'lorikeet train data=FOLDER' alone chooses the base, what is trained, rates and length from the data and the "
      "machine, and says what and why in four lines; other keys replace its choices.\n\n"
      "Keys of a recipe, with their defaults:\n" +
      recipe_help() +
      "  run                                 the run folder; default: runs/RECIPE, or runs/RECIPE-2 … if that exists; "
      "for the recipe.yaml of a run: RUN-2 …\n\n"
      "A run folder is locked while a process trains in it. With --force the old run stays until the new one has a "
      "checkpoint: after its first epoch, or checkpoint_seconds.\n"
      "Ctrl-C, SIGTERM and SIGHUP stop training and save a checkpoint and the adapter trained so far. --resume RUN "
      "continues from the last checkpoint, also after a crash, with the results of a run that was never interrupted "
      "(bit for bit in float32 on the same machine). It also extends a finished run: --resume RUN epochs=20. It can "
      "change " +
      join(resumable_keys(), ", ") +
      ".\n"
      "If the loss is no longer finite, training goes back to the last checkpoint once, with a tenth of the learning "
      "rate. Exit code: 0 done, 1 failed, 2 wrong usage, 130 interrupted by Ctrl-C, 143 by SIGTERM.");
  command->callback([options, &status] { status = train_command(*options); });
}

}  // namespace lorikeet::cli
