#include <cstdio>
#include <filesystem>
#include <memory>
#include <optional>

#include "base/error.h"
#include "base/json.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/progress_bar.h"
#include "fetch/hub.h"
#include "fetch/hub_settings.h"
#include "loading/model_files.h"
#include "models/models.h"
#include "models/weights.h"
#include "report/table.h"

namespace fs = std::filesystem;

namespace lorikeet::cli {
namespace {

struct ModelsOptions {
  std::string name;
  std::string revision;
  bool json = false;
};

// Returns the Hub repository; empty if `name` is in the model table and has no official weights in the Hub.
std::optional<HubName> hub_name(const ModelsOptions& options) {
  auto name = parse_hub_name(is_model_name(options.name) ? find_model(options.name).hub.repository : options.name);
  if (!name && !options.revision.empty()) {
    fail_usage("--revision: got '", printable(options.name),
               "', expected a model of the Hub, ORG/NAME. Other models have no revisions.");
  }
  if (name && !options.revision.empty()) name->revision = options.revision;
  return name;
}

std::int64_t count_parameters(const ModelEntry& model) {
  std::int64_t count = 0;
  for (const auto& parameter : model.build().parameters()) count += parameter.buffer ? 0 : parameter.count();
  return count;
}

// Returns the snapshot of the revision in the Hub's cache, or the folder that would contain it.
fs::path snapshot_path(const HubName& name) {
  const HubCache cache(hub_cache_folder(), name.repository);
  const auto commit = is_commit(name.revision) ? name.revision : cache.commit_of(name.revision);
  return commit ? cache.snapshot(*commit) : cache.snapshot("").parent_path();
}

// Whether the folder has a model with its weights, not only the configuration that 'lorikeet inspect' downloads.
bool is_complete(const fs::path& folder) {
  try {
    return is_model_folder(folder) && !find_model_files(folder).weights.empty();
  } catch (const Error&) {
    return false;
  }
}

int list_models(bool json) {
  Table table({{"name"}, {"library"}, {"parameters", true}, {"weights"}, {"licence"}, {"here"}});
  Json out = Json::array();
  for (const auto& model : models()) {
    const std::string library = library_name(model.library);
    const std::int64_t count = count_parameters(model);
    const Json row{{"name", model.name}, {"family", model.family}, {"library", library}, {"parameters", count}};
    const auto add = [&](const std::string& name, const std::string& weights, const std::string& licence,
                         const fs::path& path, bool here) {
      table.add({name, library, with_commas(count), weights, licence, here ? "yes" : ""});
      Json one = row;
      one["name"] = name;
      if (!weights.empty())
        one.update({{"weights", weights}, {"licence", licence}, {"path", path.string()}, {"here", here}});
      out.push_back(std::move(one));
    };
    if (const auto hub = parse_hub_name(model.hub.repository)) {
      const fs::path path = snapshot_path(*hub);
      add(model.name, hub->repository, model.hub.licence, path, is_complete(path));
    } else if (model.weights.empty()) {
      add(model.name, "", "", {}, false);
    }
    for (const auto& weights : model.weights) {
      const fs::path path = weights_path(weights);
      add(weights.name, weights.official_name, weights.licence, path, fs::exists(path));
    }
  }
  std::printf("%s", json ? (json_text(out, 2) + "\n").c_str() : table.markdown().c_str());
  return 0;
}

int get_model(const ModelsOptions& options) {
  fs::path path;
  if (auto name = hub_name(options)) {
    HubRepository repository(*std::move(name), download_bar());
    path = fetch_model_files(repository).folder;
    if (!repository.offline_reason().empty())
      print_note(cat(repository.repository(), ": taken from the cache, because ", repository.offline_reason()));
  } else {
    path = fetch_weights(find_weights(options.name), download_bar());
  }
  std::printf("%s\n", path.c_str());
  return 0;
}

int print_model_path(const ModelsOptions& options) {
  const auto hub = hub_name(options);
  const fs::path path = hub ? snapshot_path(*hub) : weights_path(find_weights(options.name));
  std::printf("%s\n", path.c_str());
  if (hub ? is_complete(path) : fs::exists(path)) return 0;
  const std::string revision = options.revision.empty() ? "" : " --revision " + options.revision;
  print_error(
      cat(options.name, ": not downloaded yet. 'lorikeet models get ", options.name, revision, "' downloads them."));
  return kFailed;
}

}  // namespace

void add_models(CLI::App& app, int& status) {
  auto* command = app.add_subcommand("models", "The known models and their official weights");
  command->require_subcommand(1);
  auto options = std::make_shared<ModelsOptions>();
  auto* list = command->add_subcommand("list", "List names, licences, and which weights are on this machine");
  list->add_flag("--json", options->json, "Print one JSON array on standard output");
  list->callback([options, &status] { status = list_models(options->json); });
  auto* get = command->add_subcommand("get", "Download weights, verify them by SHA-256, and print their path");
  get->add_option("name", options->name, "Name of a model, of one of its weights, or ORG/NAME of the Hub")->required();
  get->add_option("--revision", options->revision, "Branch, tag or commit of a model of the Hub; default: main");
  get->footer(
      "An interrupted download is resumed. $LORIKEET_MIRROR, the URL of a mirror with the same files, is tried first.\n"
      "Models of the Hub are kept in the cache of its own client, huggingface_hub, and need config.json and weights in "
      "safetensors or torch.save format. $HF_ENDPOINT, $HF_TOKEN, $HF_HOME, $HF_HUB_CACHE and $HF_HUB_OFFLINE have the "
      "same meaning as for that client.");
  get->callback([options, &status] { status = get_model(*options); });
  auto* path =
      command->add_subcommand("path", "Print the path of the weights; exit code 1 if they are not downloaded yet");
  path->add_option("name", options->name, "Name of a model, of one of its weights, or ORG/NAME of the Hub")->required();
  path->add_option("--revision", options->revision, "Branch, tag or commit of a model of the Hub; default: main");
  path->callback([options, &status] { status = print_model_path(*options); });
}

}  // namespace lorikeet::cli
