#include "loading/loaded_model.h"

#include <utility>

#include "base/error.h"
#include "base/text.h"
#include "fetch/hub.h"
#include "io/weights_file.h"
#include "loading/adapter_names.h"
#include "loading/adapter_start.h"
#include "loading/base_source.h"
#include "loading/known_places.h"
#include "loading/model_files.h"
#include "loading/resolve_name.h"
#include "models/imagenet_classes.h"
#include "models/models.h"
#include "models/weights.h"

namespace fs = std::filesystem;

namespace lorikeet {
namespace {

bool is_imagenet(std::int64_t outputs) { return outputs == static_cast<std::int64_t>(imagenet_classes().size()); }

// Name of an output for which the model's files have none.
std::vector<std::string> class_names(std::int64_t outputs) {
  if (is_imagenet(outputs)) return imagenet_classes();
  std::vector<std::string> names;
  for (std::int64_t i = 0; i < outputs; ++i) names.push_back(std::to_string(i));
  return names;
}

void check_base(const AdapterFolder& folder, const BaseModel& base, const fs::path& path) {
  if (!folder.metadata || folder.metadata->base_sha256 == base.sha256.get()) return;
  fail(path.string(), ": got base weights '", base.weights_name, "' with SHA-256 ", base.sha256.get().substr(0, 16),
       "…, expected '", folder.metadata->base_weights, "' with ", folder.metadata->base_sha256.substr(0, 16),
       "…. The adapter was trained on another base; name its file with --weights, or accept this one with "
       "--force.");
}

// Of several models that a file fits, the first is taken.
std::string note_of_choice(const std::vector<std::string>& names) {
  std::vector<std::string> others;
  for (std::size_t i = 1; i < names.size(); ++i) {
    const bool same = default_preprocessing(names[i]) == default_preprocessing(names.front());
    others.push_back(names[i] + (same ? "" : " (with other preprocessing)"));
  }
  return cat("took the weights for those of ", names.front(), ", which also fit ", join(others, ", "),
             ". Name another with --model.");
}

}  // namespace

ModelChoice base_choice(const std::string& name, const ModelChoice& choice) {
  ModelChoice out = choice;
  switch (const ResolvedName resolved = resolve_name(name); resolved.kind) {
    case NameKind::kModel:
    case NameKind::kModelFolder:
    case NameKind::kHubModel: out.model = name; break;
    case NameKind::kWeightsFile: out.weights = resolved.path; break;
    case NameKind::kAdapter:
      fail_usage(printable(name), ": got an adapter, expected a model's name or folder, or a weights file.");
  }
  return out;
}

BaseModel load_base_model(const ModelChoice& choice, const DownloadCallback& progress) {
  BaseModel base;
  std::string name = choice.model;
  NamedTensors file;
  if (!choice.weights.empty()) file = read_weights_file(choice.weights);
  if (name.empty()) {
    if (choice.weights.empty())
      fail_usage("model: got none, expected the name of one. 'lorikeet models list' shows them.");
    const auto names = guess_models(file);
    if (names.empty()) {
      fail(choice.weights.string(), ": got tensors that match no known model.", describe_nearest_model(file),
           " Name the model with --model.");
    }
    name = names.front();
    if (names.size() > 1) file.notes.push_back(note_of_choice(names));
  }
  const BaseSource source = find_base(name, progress, choice.weights.empty());
  base.entry = source.entry;
  base.preprocessing = source.preprocessing;
  base.graph = source.graph;
  fs::path path = choice.weights;
  if (!path.empty()) {
    base.weights_name = to_utf8(path.filename().string());
    base.weights_file = fs::absolute(path).lexically_normal();
  } else if (source.is_of_table()) {
    const WeightsEntry& official = find_weights(name);
    path = fetch_weights(official, progress);
    base.weights_name = official.name;
    file = read_weights_file(path);
  } else {
    path = source.weights.front();
    base.weights_name = source.weights_name;
    base.weights_file = source.folder;
    file = read_weights(source.weights);
  }
  if (!source.is_of_table()) file = with_network_name(std::move(file), base.graph);
  base.notes = source.notes;
  base.notes.insert(base.notes.end(), file.notes.begin(), file.notes.end());
  if (const std::string note = fit_outputs(file, *base.entry, base.graph); !note.empty())
    base.notes.push_back(cat(path.string(), ": ", note));
  base.weights =
      fit_base_weights(std::move(file), path, *base.entry, base.graph, {.skips_unknown = !source.is_of_table()});
  base.notes.insert(base.notes.end(), base.weights.notes.begin(), base.weights.notes.end());
  const std::int64_t outputs = output_features(base.graph);
  const bool names_outputs = static_cast<std::int64_t>(source.classes.size()) == outputs;
  base.classes = names_outputs ? source.classes : class_names(outputs);
  base.has_class_names = names_outputs || is_imagenet(outputs);
  base.sha256 = std::async(std::launch::async, [weights = base.weights, place = base.weights_file]() mutable {
    const NamedTensors own = std::move(weights);  // freed here; the future would keep the lambda's captures
    std::string sha256 = fingerprint(own);
    if (!place.empty()) remember_base(sha256, place);
    return sha256;
  });
  return base;
}

LoadedModel use_base_model(const BaseModel& base) {
  Network network(base.graph, base.weights);
  return {.network = std::move(network),
          .preprocessing = base.preprocessing,
          .classes = base.classes,
          .has_class_names = base.has_class_names,
          .precision = Precision::kFloat32,
          .adapter = std::nullopt,
          .weights_name = base.weights_name,
          .weights_file = base.weights_file,
          .base_sha256 = base.sha256,
          .prepared = base.prepared,
          .notes = base.notes,
          .entry = base.entry,
          .base_graph = base.graph,
          .base_weights = base.weights};
}

Adaptation adapt_as(AdapterFolder& folder, const Graph& base, const fs::path& path) {
  infer_output_classes(folder, base);
  try {
    Adaptation adaptation = adapt(base, folder.spec);
    decode_tensors(folder, adaptation, path.string());
    if (!is_incomplete(folder)) check_adapter_tensors(folder.tensors, adaptation, path.string());
    check_defined_in_peft(folder, adaptation, path.string());
    return adaptation;
  } catch (const UsageError& error) {
    throw Error(cat(path.string(), ": ", error.what()));  // the adapter is invalid, not the call
  }
}

namespace {

// Where the base of the adapter is found: by the name of its weights, or at a place on this machine.
struct RecordedBase {
  bool is_official = false;
  bool is_hub = false;
  fs::path place = {};  // of a local file or folder; empty if unknown
};

RecordedBase recorded_base(const AdapterMetadata& metadata) {
  RecordedBase out;
  out.is_official = has_weights(metadata.base_weights);
  out.is_hub = !is_model_name(metadata.base_model) && parse_hub_name(metadata.base_weights);
  if (!out.is_official && !out.is_hub) out.place = known_base(metadata.base_sha256);
  return out;
}

// Returns `place` if the file is still there. Whether its content is the same is checked after it is read.
fs::path existing_weights(const fs::path& place, const AdapterMetadata& metadata, const fs::path& adapter) {
  std::error_code ignored;
  if (fs::is_regular_file(place, ignored)) return place;
  fail(adapter.string(), ": got no base weights; the adapter was trained on the file '",
       printable(metadata.base_weights), "'",
       place.empty() ? "" : cat(", which is no longer at ", printable(place.string())), ". Name it with --weights.");
}

}  // namespace

LoadedModel adapt_base(const BaseModel& base, AdapterFolder folder, const fs::path& path, bool force) {
  if (!force) check_base(folder, base, path);
  std::vector<std::string> notes = base.notes;
  if (use_current_names(folder, *base.entry, base.graph))
    notes.push_back(path.string() + " has the module names of transformers 4; read as those of transformers 5.");
  const Adaptation adaptation = adapt_as(folder, base.graph, path);
  Network network(adaptation, base.weights, /*seed=*/0);
  if (is_incomplete(folder)) {
    complete_tensors(folder, start_tensors(adaptation, base.weights, network));
    check_adapter_tensors(folder.tensors, adaptation, path.string());
  }
  network.load_adapter_tensors(folder.tensors);
  const std::int64_t outputs = output_features(network.graph());
  Preprocessing preprocessing = base.preprocessing;
  const bool keeps_outputs = static_cast<std::int64_t>(base.classes.size()) == outputs;
  std::vector<std::string> classes = keeps_outputs ? base.classes : class_names(outputs);
  bool has_class_names = keeps_outputs ? base.has_class_names : is_imagenet(outputs);
  Precision precision = Precision::kFloat32;
  if (folder.metadata) {
    preprocessing = folder.metadata->preprocessing;
    precision = folder.metadata->precision;
    if (!folder.metadata->classes.empty()) {
      classes = folder.metadata->classes;
      has_class_names = true;
    }
    if (static_cast<std::int64_t>(classes.size()) != outputs) {
      fail(path.string(), ": got ", counted(classes.size(), "class name"), " for ", counted(outputs, "output"),
           ", expected as many.");
    }
  }
  return {.network = std::move(network),
          .preprocessing = preprocessing,
          .classes = std::move(classes),
          .has_class_names = has_class_names,
          .precision = precision,
          .adapter = std::move(folder),
          .weights_name = base.weights_name,
          .weights_file = base.weights_file,
          .base_sha256 = base.sha256,
          .prepared = base.prepared,
          .notes = std::move(notes),
          .entry = base.entry,
          .base_graph = base.graph,
          .base_weights = base.weights};
}

LoadedModel adapt_base(const BaseModel& base, const fs::path& path, bool force) {
  AdapterFolder folder = read_adapter(path);
  // Folders and repositories may be copies of each other, so the SHA-256 decides whether one is the base.
  if (folder.metadata && folder.metadata->base_model != base.entry->name && is_model_name(base.entry->name)) {
    fail(path.string(), ": got an adapter of ", printable(folder.metadata->base_model), ", expected one of ",
         base.entry->name, ".");
  }
  return adapt_base(base, std::move(folder), path, force);
}

ModelChoice choice_of_adapter(const AdapterFolder& folder, const fs::path& path, const ModelChoice& choice) {
  ModelChoice out = choice;
  if (!folder.metadata) {
    const std::string& base_name = folder.spec.config.base_model_name_or_path;
    const bool is_known = is_model_name(base_name) || is_folder_or_hub_model(base_name);
    if (out.model.empty() && (out.weights.empty() || is_model_name(base_name)) && is_known) out.model = base_name;
    if (out.model.empty() && out.weights.empty()) {
      fail_usage(path.string(),
                 ": got an adapter that does not record its base (PEFT wrote it). Name the model with --model, e.g. "
                 "--model resnet50.");
    }
    return out;
  }
  const AdapterMetadata& metadata = *folder.metadata;
  const bool is_of_table = is_model_name(metadata.base_model);
  if (out.model.empty()) {
    // The name of official weights, which includes their version, the folder, or the Hub's commit.
    const RecordedBase recorded = recorded_base(metadata);
    out.model = recorded.is_official || recorded.is_hub ? metadata.base_weights
                : is_model_folder(recorded.place)       ? recorded.place.string()
                                                        : metadata.base_model;
    if (!is_model_name(out.model) && !is_folder_or_hub_model(out.model)) {
      fail(path.string(), ": got no base model; the adapter was trained on '", printable(metadata.base_weights), "'",
           recorded.place.empty() ? "" : cat(", which is not at ", printable(recorded.place.string()), " any more"),
           ". Name it with --model.");
    }
  }
  if (is_of_table && is_model_name(out.model) && find_model(out.model).name != find_model(metadata.base_model).name) {
    fail(path.string(), ": got model '", out.model, "', expected '", metadata.base_model,
         "', which the adapter was trained on.");
  }
  return out;
}

BaseModel load_base_of(const AdapterFolder& folder, const fs::path& path, const ModelChoice& choice,
                       const DownloadCallback& progress) {
  ModelChoice wanted = choice_of_adapter(folder, path, choice);
  if (folder.metadata && wanted.weights.empty()) {
    const AdapterMetadata& metadata = *folder.metadata;
    const RecordedBase recorded = recorded_base(metadata);
    const bool has_file = !recorded.place.empty() && !is_model_folder(recorded.place);
    if (is_model_name(wanted.model) ? !recorded.is_official : has_file && choice.model.empty())
      wanted.weights = existing_weights(recorded.place, metadata, path);
  }
  return load_base_model(wanted, progress);
}

LoadedModel load_adapter(const fs::path& path, const ModelChoice& choice, const DownloadCallback& progress) {
  AdapterFolder folder = read_adapter(path);
  const BaseModel base = load_base_of(folder, path, choice, progress);
  return adapt_base(base, std::move(folder), path, choice.force);
}

LoadedModel load_model(const std::string& name, const ModelChoice& choice, const DownloadCallback& progress) {
  const ResolvedName resolved = resolve_name(name);
  if (resolved.kind == NameKind::kAdapter) return load_adapter(resolved.path, choice, progress);
  return use_base_model(load_base_model(base_choice(name, choice), progress));
}

}  // namespace lorikeet
