#include <cstdio>
#include <filesystem>
#include <memory>

#include "base/json.h"
#include "cli/commands.h"
#include "cli/progress_bar.h"
#include "models/models.h"
#include "models/weights.h"
#include "report/table.h"

namespace fs = std::filesystem;

namespace lorikeet::cli {
namespace {

struct ModelsOptions {
  std::string name;
  bool json = false;
};

int list_models(bool json) {
  Table table({{"name"}, {"weights"}, {"licence"}, {"here"}});
  Json out = Json::array();
  for (const auto& model : models()) {
    for (const auto& weights : model.weights) {
      const bool here = fs::exists(weights_path(weights));
      table.add({weights.name, weights.official_name, weights.licence, here ? "yes" : ""});
      out.push_back({{"name", weights.name},
                     {"weights", weights.official_name},
                     {"licence", weights.licence},
                     {"path", weights_path(weights).string()},
                     {"here", here}});
    }
  }
  std::printf("%s", json ? (json_text(out, 2) + "\n").c_str() : table.markdown().c_str());
  return 0;
}

int get_model(const std::string& name) {
  std::printf("%s\n", fetch_weights(find_weights(name), download_bar()).c_str());
  return 0;
}

int print_model_path(const std::string& name) {
  const WeightsEntry& entry = find_weights(name);
  const fs::path path = weights_path(entry);
  std::printf("%s\n", path.c_str());
  if (fs::exists(path)) return 0;
  print_note("lorikeet: " + name + ": the weights are not there yet. 'lorikeet models get " + name + "' fetches them.");
  return kFailed;
}

}  // namespace

void add_models(CLI::App& app, int& status) {
  auto* command = app.add_subcommand("models", "The known models and their official weights");
  command->require_subcommand(1);
  auto options = std::make_shared<ModelsOptions>();
  auto* list = command->add_subcommand("list", "Names, licences, and which weights are on this machine");
  list->add_flag("--json", options->json, "Print one JSON array on standard output");
  list->callback([options, &status] { status = list_models(options->json); });
  auto* get = command->add_subcommand("get", "Download weights, checked by SHA-256, and print where they are");
  get->add_option("name", options->name, "Name of a model, or of one of its weights")->required();
  get->footer(
      "An interrupted download goes on where it stopped. $LORIKEET_MIRROR is tried first: an address that holds the "
      "same files.");
  get->callback([options, &status] { status = get_model(options->name); });
  auto* path =
      command->add_subcommand("path", "Print where the weights are or would be; exit code 1 where they are not there");
  path->add_option("name", options->name, "Name of a model, or of one of its weights")->required();
  path->callback([options, &status] { status = print_model_path(options->name); });
}

}  // namespace lorikeet::cli
