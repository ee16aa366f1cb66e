// lorikeet search: the smallest adapter that reaches an accuracy.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <optional>
#include <utility>

#include "base/error.h"
#include "base/json.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/progress_bar.h"
#include "cli/runs.h"
#include "cli/status_line.h"
#include "report/table.h"
#include "search/search.h"
#include "train/recipe.h"

namespace fs = std::filesystem;

namespace lorikeet::cli {
namespace {

struct SearchOptions {
  std::string recipe;
  std::vector<std::string> overrides;
  std::string out;
  std::string resume;
  bool json = false;
};

// What is not a recipe's key.
struct Goal {
  std::optional<double> target;
  std::optional<SearchCost> minimise;
  double budget = 20 * 60;
};

// Takes the goal out of `overrides`.
Goal take_goal(std::vector<std::string>& overrides) {
  Goal out;
  std::erase_if(overrides, [&](const std::string& override) {
    const std::size_t equals = std::min(override.find('='), override.size() - 1);
    const std::string key = override.substr(0, equals), value = override.substr(equals + 1);
    const std::string got = cat(key, ": got '", printable(value), "', expected ");
    if (key == "target") {
      char* end = nullptr;
      const double target = std::strtod(value.c_str(), &end);
      if (value.empty() || *end != '\0' || !(target > 0 && target <= 1))
        fail_usage(got, "an accuracy above 0 and up to 1, e.g. target=",
                   target > 1 && target <= 100 ? cat(target / 100) : "0.965", ".");
      out.target = target;
      return true;
    }
    if (key == "minimise") {
      const auto& names = search_cost_names();
      const auto found = std::find(names.begin(), names.end(), value);
      if (found == names.end()) fail_usage(got, "one of ", join(names, ", "), ".");
      out.minimise = static_cast<SearchCost>(found - names.begin());
      return true;
    }
    if (key == "budget") {
      const auto seconds = parse_seconds(value);
      if (!seconds || *seconds <= 0) fail_usage(got, "a time above 0, e.g. 90s, 20m or 1h30m.");
      out.budget = *seconds;
      return true;
    }
    // Only what is no recipe's key either; load_recipe refuses the rest.
    static const std::vector<std::string> kGoals{"target", "minimise", "budget"};
    std::vector<std::string> keys = recipe_keys();
    keys.insert(keys.end(), kGoals.begin(), kGoals.end());
    const auto near = nearest(key, keys);
    if (!near.empty() && near.front() != key && std::find(kGoals.begin(), kGoals.end(), near.front()) != kGoals.end())
      fail_usage(printable(key), ": got an unknown key. Did you mean '", near.front(), "'?");
    return false;
  });
  return out;
}

std::string name_of_trial(const SearchTrial& trial) {
  return cat("trial ", trial.number, " ", trial.method, trial.places.empty() ? "" : " ", trial.places,
             trial.size.empty() ? "" : " ", trial.size);
}

// A line of a table that grows trial by trial. Longer cells move the rest of their line.
std::string row_text(const std::vector<std::string>& cells) {
  static const std::vector<std::size_t> kWidths{9, 8, 24, 30, 5, 10, 9, 9, 5, 8, 7, 5};
  const std::vector<Table::Column> columns = search_columns();
  std::string out;
  for (std::size_t i = 0; i < cells.size(); ++i) {
    const std::string padding(kWidths[i] - std::min(kWidths[i], cells[i].size()), ' ');
    out += cat(i > 0 ? "  " : "", columns[i].right ? padding : "", cells[i], columns[i].right ? "" : padding);
  }
  return out;
}

// When something was last printed about trials, for those who see no status line.
std::chrono::steady_clock::time_point& last_line() {
  static auto last = std::chrono::steady_clock::now();
  return last;
}

void show_trial(const SearchTrial& trial, const TrainProgress& now) {
  constexpr auto kSilence = std::chrono::seconds(30);
  const std::string name = name_of_trial(trial) + "  ";
  if (shows_progress()) {
    const std::size_t columns = terminal_columns();
    show_status(name + training_line(now, columns - std::min(columns, name.size())));
  } else if (std::chrono::steady_clock::now() - last_line() > kSilence) {
    print_note(cat(name, now.phase, now.phase == "train" ? cat(" epoch ", now.epoch, "/", now.epochs) : "", "  ",
                   now.done, "/", now.total));
    last_line() = std::chrono::steady_clock::now();
  }
}

void print_row(const SearchTrial& trial) {
  last_line() = std::chrono::steady_clock::now();
  static bool has_header = false;
  if (!std::exchange(has_header, true)) {
    std::vector<std::string> titles;
    for (const Table::Column& column : search_columns()) titles.push_back(column.title);
    print_note(row_text(titles));
  }
  print_note(trial.error.empty() ? row_text(search_cells(trial)) : cat(name_of_trial(trial), " failed: ", trial.error));
}

void print_result(const SearchOutcome& outcome, const fs::path& folder) {
  if (outcome.front.empty()) return;
  std::printf("Pareto front: of all trials and precisions at step %s, those that no other beats in %s and accuracy\n\n",
              with_commas(outcome.front.front().steps).c_str(),
              search_cost_names()[static_cast<std::size_t>(outcome.plan.minimise)].c_str());
  Table table(search_columns());
  for (const SearchTrial& trial : outcome.front) table.add(search_cells(trial));
  std::printf("%s\n", table.markdown().c_str());
  if (!outcome.winner) return;
  const SearchTrial& winner = *outcome.winner;
  std::printf("%s: %s bytes in %s, %s; validation accuracy %s of %s images", (folder / "winner.lorikeet").c_str(),
              with_commas(winner.bytes).c_str(), winner.precision.c_str(),
              counted(winner.parameters, "trained parameter").c_str(), fixed(winner.accuracy, 4).c_str(),
              with_commas(outcome.validation_images).c_str());
  if (outcome.test_total > 0) {
    std::printf(", test accuracy %s of %s",
                fixed(static_cast<double>(outcome.test_correct) / static_cast<double>(outcome.test_total), 4).c_str(),
                with_commas(outcome.test_total).c_str());
  }
  std::printf("\nRecipe: %s\nReport: %s\n", (folder / "winner.yaml").c_str(), (folder / "report.html").c_str());
}

SearchRequest request_of(const SearchOptions& options) {
  std::error_code ignored;
  const bool has_recipe =
      !options.recipe.empty() && (options.recipe.find('=') == std::string::npos || fs::exists(options.recipe, ignored));
  std::vector<std::string> overrides = options.overrides;
  if (!options.recipe.empty() && !has_recipe) overrides.insert(overrides.begin(), options.recipe);
  const Goal goal = take_goal(overrides);
  SearchRequest out;
  out.budget = goal.budget;
  if (!options.resume.empty()) {
    if (has_recipe || !options.out.empty() || !overrides.empty() || goal.target || goal.minimise)
      fail_usage(
          "--resume: got more than the folder and budget=TIME, expected nothing else: the search has its own "
          "recipe and target.");
    if (!fs::is_directory(options.resume, ignored))
      fail_usage(printable(options.resume), ": got no folder, expected that of a search.");
    out.folder = options.resume;
    return out;
  }
  if (!has_recipe) fail_usage("recipe: got none, expected a YAML file, or --resume DIR.");
  if (!goal.target) fail_usage("target: got none, expected an accuracy, e.g. target=0.965.");
  out.target = *goal.target;
  out.minimise = goal.minimise.value_or(SearchCost::kBytes);
  out.named = named_keys(options.recipe, overrides);
  // A recipe that leaves everything to the search names nothing that is trained.
  if (!out.named.contains("head") && !out.named.contains("modules_to_save"))
    overrides.insert(overrides.begin(), "head=new");
  out.recipe = load_recipe(options.recipe, overrides);
  if (!out.recipe->run.empty()) fail_usage("run: got it in a search, expected --out DIR.");
  out.folder = options.out.empty() ? fs::path("runs") / (run_name(options.recipe) + "-search") : fs::path(options.out);
  return out;
}

int search_command(const SearchOptions& options) {
  const SearchRequest request = request_of(options);
  catch_interrupts();
  SearchCallbacks callbacks{.progress =
                                [](const SearchTrial& trial, const TrainProgress& now) {
                                  if (trial.number > 0) show_trial(trial, now);
                                  return !interrupted();
                                },
                            .waiting =
                                [] {
                                  show_status("waiting for trials of other processes");
                                  return !interrupted();
                                },
                            .trial = print_row,
                            .log = print_note,
                            .download = download_bar()};
  const SearchOutcome outcome = run_search(request, callbacks);
  show_status("");
  if (outcome.is_interrupted) {
    print_error(cat("interrupted; finished trials are kept. Continue with 'lorikeet search --resume ",
                    printable(request.folder.string()), "'."));
    return interrupt_status();
  }
  if (options.json) {
    std::printf("%s\n", json_text(outcome_json(outcome), 2).c_str());
  } else {
    print_result(outcome, request.folder);
  }
  if (outcome.is_reached) return 0;
  const std::string nearest = outcome.winner ? cat("the nearest point has ", fixed(outcome.winner->accuracy, 4))
                                             : std::string("no trial was finished");
  print_error(cat("search: got no adapter with a validation accuracy of ", fixed(outcome.plan.target, 4),
                  " within the budget, expected one; ", nearest,
                  outcome.left_out > 0
                      ? cat(". ", left_out_text(outcome), " did not fit; continue with 'lorikeet search --resume ",
                            printable(request.folder.string()), "'.")
                      : std::string(".")));
  return kFailed;
}

}  // namespace

void add_search(CLI::App& app, int& status) {
  auto* command = app.add_subcommand("search", "Search for the smallest adapter that reaches an accuracy");
  auto options = std::make_shared<SearchOptions>();
  command->add_option("recipe", options->recipe, "YAML file; what it names is fixed, the rest is searched");
  command->add_option("overrides", options->overrides,
                      "target=ACCURACY, minimise=bytes|parameters|seconds (bytes), budget=TIME (20m), and key=value, "
                      "which replaces the recipe's value");
  command
      ->add_option("-o,--out", options->out,
                   "Folder of the search, which several processes may share; default: runs/RECIPE-search")
      ->type_name("DIR");
  command->add_option("--resume", options->resume, "Continue the search in this folder; budget=TIME can be given")
      ->type_name("DIR");
  command->add_flag("--json", options->json, "Print one JSON document on standard output");
  command->footer(
      "Tries methods (LoRA, LoRA-XS, TinyLoRA, UniLoRA, norm tuning, only a new output), places, ranks, heads, "
      "learning rates and precisions of\nthe file. All candidates train for a short time, the third of them that is "
      "nearest to the front of cost and accuracy three times as long,\nand those that may reach the target to the "
      "end. The recipe's 'search' narrows the space, e.g.\nsearch: {peft_type: [TINYLORA], u: [100, 300]}.\n\n"
      "The winner is the cheapest adapter that reaches the target on validation images: DIR/winner.lorikeet. "
      "'lorikeet train DIR/winner.yaml'\nreproduces it. Test images are used once, for the winner. DIR/report.html has "
      "a plot and all trials.\n\n"
      "Several processes with the same DIR, also on several machines, share one search; each trial is trained by one "
      "of them. A process that is\nkilled loses at most its own trial's progress since the last checkpoint. Exit "
      "code: 0 reached, 1 not reached or failed, 2 wrong usage, 130\ninterrupted by Ctrl-C.");
  command->callback([options, &status] { status = search_command(*options); });
}

}  // namespace lorikeet::cli
