#include "loading/loaded_model.h"

#include <utility>

#include "base/error.h"
#include "base/text.h"
#include "io/weights_file.h"
#include "models/imagenet_classes.h"
#include "models/weights.h"

namespace fs = std::filesystem;

namespace lorikeet {
namespace {

std::vector<std::string> class_names(std::int64_t outputs) {
  const auto& imagenet = imagenet_classes();
  if (outputs == static_cast<std::int64_t>(imagenet.size())) return imagenet;
  std::vector<std::string> names;
  for (std::int64_t i = 0; i < outputs; ++i) names.push_back(std::to_string(i));
  return names;
}

void check_base(const AdapterFolder& folder, const BaseModel& base, const fs::path& path) {
  if (!folder.metadata || folder.metadata->base_sha256 == base.sha256.get()) return;
  fail(path.string(), ": got base weights '", base.weights_name, "' with SHA-256 ", base.sha256.get().substr(0, 16),
       "…, expected '", folder.metadata->base_weights, "' with ", folder.metadata->base_sha256.substr(0, 16),
       "…. The adapter was trained on another base; name its file with --weights, or take this one all the same with "
       "--force.");
}

}  // namespace

BaseModel load_base_model(const ModelChoice& choice, const DownloadCallback& progress) {
  BaseModel base;
  std::string name = choice.model;
  if (name.empty()) {
    if (choice.weights.empty())
      fail_usage("model: got none, expected the name of one. 'lorikeet models list' shows them.");
    name = guess_model(read_weights_file(choice.weights));
    if (name.empty()) fail(choice.weights.string(), ": got tensors that fit no known model. Name it with --model.");
  }
  base.entry = &find_model(name);
  const WeightsEntry& official = find_weights(name);
  base.preprocessing = official.preprocessing;
  base.graph = base.entry->build();
  fs::path path = choice.weights;
  if (path.empty()) {
    path = fetch_weights(official, progress);
    base.weights_name = official.name;
  } else {
    base.weights_name = path.filename().string();
  }
  base.weights = load_base_weights(path, *base.entry, base.graph);
  base.sha256 = std::async(std::launch::async, [weights = base.weights]() mutable {
    const NamedTensors own = std::move(weights);  // lets go of them at the end: the future keeps what the lambda holds
    return fingerprint(own);
  });
  return base;
}

LoadedModel use_base_model(BaseModel base) {
  Network network(base.graph, base.weights);
  return {std::move(network),  base.preprocessing, class_names(output_features(base.graph)),
          Precision::kFloat32, std::nullopt,       base.entry->name,
          base.weights_name,   base.sha256,        base.prepared};
}

Adaptation adapt_as(AdapterFolder& folder, const Graph& base, const fs::path& path) {
  infer_output_classes(folder, base);
  try {
    Adaptation adaptation = adapt(base, folder.spec);
    check_adapter_tensors(folder.tensors, adaptation, path.string());
    return adaptation;
  } catch (const UsageError& error) {
    throw Error(cat(path.string(), ": ", error.what()));  // the adapter's fault, not the call's
  }
}

namespace {

LoadedModel adapt_base(const BaseModel& base, AdapterFolder folder, const fs::path& path, bool force) {
  if (!force) check_base(folder, base, path);
  const Adaptation adaptation = adapt_as(folder, base.graph, path);
  Network network(adaptation, base.weights, /*seed=*/0);
  network.load_adapter_tensors(folder.tensors);
  const std::int64_t outputs = output_features(network.graph());
  Preprocessing preprocessing = base.preprocessing;
  std::vector<std::string> classes = class_names(outputs);
  Precision precision = Precision::kFloat32;
  if (folder.metadata) {
    preprocessing = folder.metadata->preprocessing;
    precision = folder.metadata->precision;
    if (!folder.metadata->classes.empty()) classes = folder.metadata->classes;
    if (static_cast<std::int64_t>(classes.size()) != outputs) {
      fail(path.string(), ": got ", classes.size(), " class names for ", outputs, " outputs, expected as many.");
    }
  }
  return {std::move(network), preprocessing,     std::move(classes), precision,    std::move(folder),
          base.entry->name,   base.weights_name, base.sha256,        base.prepared};
}

}  // namespace

LoadedModel adapt_base(const BaseModel& base, const fs::path& path, bool force) {
  AdapterFolder folder = read_adapter_folder(path);
  if (folder.metadata && folder.metadata->base_model != base.entry->name) {
    fail(path.string(), ": got an adapter of ", printable(folder.metadata->base_model), ", expected one of ",
         base.entry->name, ".");
  }
  return adapt_base(base, std::move(folder), path, force);
}

LoadedModel load_adapter(const fs::path& path, const ModelChoice& choice, const DownloadCallback& progress) {
  AdapterFolder folder = read_adapter_folder(path);
  ModelChoice wanted = choice;
  if (folder.metadata) {
    if (wanted.model.empty()) {
      // The official weights' name, which also says the version, where it is one.
      wanted.model =
          is_model_name(folder.metadata->base_weights) ? folder.metadata->base_weights : folder.metadata->base_model;
    }
    if (find_model(wanted.model).name != find_model(folder.metadata->base_model).name) {
      fail(path.string(), ": got model '", wanted.model, "', expected '", folder.metadata->base_model,
           "', which the adapter was trained on.");
    }
    if (wanted.weights.empty() && !is_model_name(folder.metadata->base_weights)) {
      fail(path.string(), ": got no base weights; the adapter was trained on the file '",
           printable(folder.metadata->base_weights), "'. Name it with --weights.");
    }
  } else if (wanted.model.empty()) {
    const std::string& base_name = folder.spec.config.base_model_name_or_path;
    if (is_model_name(base_name)) wanted.model = base_name;
    if (wanted.model.empty() && wanted.weights.empty()) {
      fail_usage(path.string(),
                 ": got an adapter that does not name its base (PEFT wrote it). Name the model with --model, e.g. "
                 "--model resnet50.");
    }
  }
  return adapt_base(load_base_model(wanted, progress), std::move(folder), path, choice.force);
}

std::optional<fs::path> adapter_path(const fs::path& name) {
  if (is_adapter_folder(name)) return name;
  if (is_adapter_folder(name / "adapter")) return name / "adapter";
  return std::nullopt;
}

LoadedModel load_model(const std::string& name, const ModelChoice& choice, const DownloadCallback& progress) {
  if (const auto adapter = adapter_path(name)) return load_adapter(*adapter, choice, progress);
  std::error_code ignored;
  if (fs::is_directory(name, ignored)) {
    fail(name, ": got a folder without adapter_config.json, expected an adapter or a run's folder.");
  }
  if (fs::is_regular_file(name, ignored)) return use_base_model(load_base_model({choice.model, name}, progress));
  if (name.find('/') != std::string::npos)
    fail(name, ": got nothing there, expected an adapter's folder, a run's folder, or a weights file.");
  return use_base_model(load_base_model({name, choice.weights}, progress));
}

}  // namespace lorikeet
