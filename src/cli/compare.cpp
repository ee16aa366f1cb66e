#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <optional>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/progress_bar.h"
#include "cli/runs.h"
#include "report/run_report.h"
#include "report/table.h"
#include "train/recipe.h"
#include "train/run_folder.h"
#include "train/run_report.h"

namespace fs = std::filesystem;

namespace lorikeet::cli {
namespace {

constexpr std::uint64_t kMaxSummary = 16 << 20;

struct CompareOptions {
  std::vector<std::string> recipes;
  std::string runs = "runs";
  std::string html;
  bool json = false;
};

struct Row {
  Recipe recipe;
  Json summary;
};

bool has_same_recipe(const Recipe& recipe) {
  const fs::path path = recipe.run / "recipe.yaml";
  return fs::exists(path) && read_file(path, kMaxSummary) == recipe_yaml(with_absolute_paths(recipe));
}

// Returns the summary of the run if it is finished.
std::optional<Json> finished_run(const Recipe& recipe) {
  const fs::path path = recipe.run / "summary.json";
  if (!fs::exists(path)) return std::nullopt;
  Json summary = parse_json(read_file(path, kMaxSummary), path.string());
  if (!summary.is_object() || summary.value("status", "") != "finished") return std::nullopt;
  return summary;
}

// Runs the recipe unless it has already been run. Empty if interrupted. `as_it_is`: the run in `folder` is meant,
// whatever its recipe; those of older versions lack keys.
std::optional<Json> run_once(Recipe& recipe, const fs::path& folder, bool as_it_is) {
  recipe.run = folder;
  if (as_it_is) {
    if (auto done = finished_run(recipe)) return done;
  }
  for (int number = 2; is_run_folder(recipe.run) && !has_same_recipe(recipe); ++number)
    recipe.run = folder.string() + "-" + std::to_string(number);
  if (has_same_recipe(recipe)) {
    if (auto done = finished_run(recipe)) return done;
  }
  print_note(cat("== ", recipe.run.string()));
  std::error_code none;
  const bool continues = has_same_recipe(recipe) && !fs::is_empty(recipe.run / "checkpoints", none) && !none;
  const TrainSummary summary = continues ? resume_visibly(recipe.run, {}) : train_visibly(recipe, /*replace=*/true);
  if (summary.interrupted) return std::nullopt;
  return summary_json(summary, recipe);
}

std::string bytes_cell(const Json& summary, const char* key) {
  return human_bytes(summary.at(key).get<std::uint64_t>());
}

bool is_test(const Json& summary) { return summary.value("test_split", "test") == "test"; }

// Of the images that chose the epoch, if there were no others.
std::string accuracy_cell(const Json& summary, const char* key) {
  if (!summary.contains(key)) return "–";
  return fixed(summary.at(key).at("accuracy").get<double>(), 4) + (is_test(summary) ? "" : " (val)");
}

// Of adapter.lorikeet: of a float32 file, that of the run.
std::string file_accuracy_cell(const Row& row) {
  if (!row.summary.contains("adapter_file_bytes")) return "–";
  const bool is_exact = row.recipe.file_precision == FilePrecision::kFloat32;
  return accuracy_cell(row.summary, is_exact ? "test" : "adapter_file_test");
}

// Says where accuracies are of different images.
void note_other_images(const std::vector<Row>& rows) {
  std::vector<std::string> images;
  for (const auto& [recipe, summary] : rows) {
    if (!summary.contains("test")) continue;
    images.push_back(cat(recipe.data.name, ", ",
                         counted(summary.at("test").at("total").get<std::int64_t>(),
                                 is_test(summary) ? "test image" : "validation image")));
  }
  std::sort(images.begin(), images.end());
  images.erase(std::unique(images.begin(), images.end()), images.end());
  if (images.size() > 1) print_note(cat("the accuracies are of different images: ", join(images, "; ")));
}

void print_tables(const std::vector<Row>& rows) {
  Table results({{"run"},
                 {"trainable", true},
                 {"reported", true},
                 {"accuracy", true},
                 {"reported", true},
                 {"training", true},
                 {"img/s", true}});
  Table sizes({{"run"},
               {"full model", true},
               {"adapter_model.safetensors", true},
               {"adapter folder", true},
               {"adapter.lorikeet", true},
               {"its accuracy", true}});
  for (const Row& row : rows) {
    const auto& [recipe, summary] = row;
    const Reference& reference = recipe.reference;
    const std::string title = reference.title.empty() ? recipe.run.filename().string() : reference.title;
    results.add({title, with_commas(summary.at("trainable_parameters").get<std::int64_t>()),
                 reference.trainable.empty() ? "–" : reference.trainable, accuracy_cell(summary, "test"),
                 reference.accuracy ? fixed(*reference.accuracy, 3) : "–",
                 clock(summary.at("train_seconds").get<double>()),
                 fixed(summary.at("images_per_second").get<double>(), 0)});
    sizes.add({title, bytes_cell(summary, "whole_model_bytes"), bytes_cell(summary, "adapter_bytes"),
               bytes_cell(summary, "adapter_folder_bytes"),
               summary.contains("adapter_file_bytes") ? bytes_cell(summary, "adapter_file_bytes") : "–",
               file_accuracy_cell(row)});
  }
  std::printf("%s\n%s", results.markdown().c_str(), sizes.markdown().c_str());
}

std::vector<ComparedRun> compared(const std::vector<Row>& rows) {
  std::vector<ComparedRun> out;
  for (const auto& [recipe, summary] : rows) {
    const Reference& reference = recipe.reference;
    ComparedRun run{.title = reference.title.empty() ? recipe.run.filename().string() : reference.title,
                    .reported_trainable = reference.trainable,
                    .reported_accuracy = reference.accuracy,
                    .trainable = summary.at("trainable_parameters").get<std::int64_t>(),
                    .accuracy = {},
                    .file_accuracy = {},
                    .macro_f1 = {},
                    .seconds = summary.at("train_seconds").get<double>(),
                    .images_per_second = summary.at("images_per_second").get<double>(),
                    .model_bytes = summary.at("whole_model_bytes").get<std::uint64_t>(),
                    .adapter_bytes = summary.at("adapter_bytes").get<std::uint64_t>(),
                    .folder_bytes = summary.at("adapter_folder_bytes").get<std::uint64_t>(),
                    .file_bytes = summary.value("adapter_file_bytes", std::uint64_t{0}),
                    .curves = read_curves(recipe.run / "metrics.jsonl")};
    if (const auto test = summary.find("test"); test != summary.end()) {
      run.accuracy = test->at("accuracy").get<double>();
      const Interval interval =
          wilson_interval(test->at("correct").get<std::int64_t>(), test->at("total").get<std::int64_t>());
      run.accuracy_low = interval.low;
      run.accuracy_high = interval.high;
      if (const auto file = summary.find("adapter_file_test"); file != summary.end())
        run.file_accuracy = file->at("accuracy").get<double>();
      if (test->contains("macro_f1")) run.macro_f1 = test->at("macro_f1").get<double>();
    }
    out.push_back(std::move(run));
  }
  return out;
}

// Where all runs are of one model on one dataset.
std::vector<PublishedResult> published_for(const std::vector<Row>& rows) {
  const Recipe& first = rows.front().recipe;
  const bool is_same = std::all_of(rows.begin(), rows.end(), [&](const Row& row) {
    return row.recipe.model == first.model && row.recipe.data.name == first.data.name;
  });
  return is_same ? published_results(first.model, first.data.name) : std::vector<PublishedResult>{};
}

int compare_command(const CompareOptions& options) {
  std::vector<std::string> overrides;
  std::vector<Row> rows;
  for (const auto& item : options.recipes) {
    if (item.find('=') != std::string::npos && !fs::exists(item)) {
      if (item.rfind("run=", 0) == 0)
        fail_usage("run: got ", printable(item), ", expected no such override. --runs sets the folder of all runs.");
      overrides.push_back(item);
    } else {
      rows.emplace_back();
      rows.back().recipe.run = item;  // the recipe's path, until it is read
    }
  }
  if (rows.empty()) fail_usage("compare: got no recipe, expected at least one, e.g. recipes/article/*.yaml.");
  std::vector<fs::path> files;
  for (auto& row : rows) {
    files.push_back(row.recipe.run);
    if (is_run_folder(files.back())) files.back() /= "recipe.yaml";
    if (std::error_code ignored; fs::exists(files.back() / "search.json", ignored))
      fail_usage(printable(files.back().string()), ": got the folder of a search, expected a recipe or a run. Name ",
                 printable((files.back() / "winner.yaml").string()), ", its winner's recipe.");
    row.recipe = load_recipe(files.back(), overrides);
    if (!row.recipe.run.empty())
      fail(files.back().string(), ": run: got a folder, expected none in a recipe to compare. --runs sets it.");
  }
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const fs::path own = own_run(files[i]);
    const auto summary = own.empty()
                             ? run_once(rows[i].recipe, fs::path(options.runs) / run_name(files[i]), /*as_it_is=*/false)
                             : run_once(rows[i].recipe, own, /*as_it_is=*/overrides.empty());
    if (!summary) {
      print_error("interrupted; finished runs are kept, and the next compare continues after them.");
      return interrupt_status();
    }
    rows[i].summary = *summary;
  }
  note_other_images(rows);
  if (!options.html.empty()) write_file(options.html, compare_page_html(compared(rows), published_for(rows)));
  if (!options.json) {
    print_tables(rows);
    return 0;
  }
  Json out = Json::array();
  for (const auto& [recipe, summary] : rows) {
    Json reference{{"title", recipe.reference.title}, {"trainable", recipe.reference.trainable}, {"accuracy", nullptr}};
    if (recipe.reference.accuracy) reference["accuracy"] = *recipe.reference.accuracy;
    out.push_back({{"run", recipe.run.string()}, {"reference", reference}, {"summary", summary}});
  }
  std::printf("%s\n", json_text(out, 2).c_str());
  return 0;
}

}  // namespace

void add_compare(CLI::App& app, int& status) {
  auto* command = app.add_subcommand(
      "compare", "Run recipes that have not been run yet, and print the results beside published ones");
  auto options = std::make_shared<CompareOptions>();
  command->add_option("recipes", options->recipes, "Recipe files or run folders, and key=value for all of them")
      ->required();
  command->add_option("--runs", options->runs, "Folder of the runs, with one subfolder per recipe")
      ->capture_default_str();
  command->add_option("--html", options->html, "Also write the results as one HTML file, with the curves of all runs")
      ->type_name("FILE");
  command->add_flag("--json", options->json, "Print one JSON array on standard output");
  command->footer(
      "A finished run of exactly the same recipe is not repeated, an interrupted one is continued. 'reported' shows "
      "the\n"
      "recipe's `reference`.");
  command->callback([options, &status] { status = compare_command(*options); });
}

}  // namespace lorikeet::cli
