#include "loading/base_source.h"

#include <cstdint>
#include <functional>
#include <numeric>
#include <optional>
#include <utility>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/text.h"
#include "fetch/hub.h"
#include "io/safetensors.h"
#include "io/weights_file.h"
#include "loading/model_files.h"
#include "models/class_labels.h"
#include "models/preprocessor_config.h"
#include "models/transformers_config.h"

namespace fs = std::filesystem;

namespace lorikeet {
namespace {

constexpr std::uint64_t kMaxConfig = 16 << 20;
constexpr std::int64_t kMaxOutputs = 1'000'000;
constexpr const char* kHubScheme = "hf-hub:";

// What `action` throws, with the file's name before it.
template <typename Action>
auto in_file(const fs::path& path, const Action& action) {
  try {
    return action();
  } catch (const Error& error) {
    throw Error(cat(path.string(), ": ", error.what()));
  }
}

Json read_object(const fs::path& path) {
  Json json = parse_json(read_file(path, kMaxConfig), path.string());
  if (!json.is_object()) fail(path.string(), ": got ", json_kind(json), ", expected an object.");
  return json;
}

// An entry of the table, which is never freed.
std::shared_ptr<const ModelEntry> of_table(const ModelEntry& entry) { return {std::shared_ptr<void>(), &entry}; }

// timm's own names are those of the table, with "timm/" where another library has the same. Where both call the modules
// the same, there is one entry.
const ModelEntry& timm_entry(const std::string& architecture) {
  if (const std::string own = "timm/" + architecture; is_model_name(own)) return find_model(own);
  find_model(architecture);  // fails if no library has it
  fail_usage("got '", printable(architecture), "', which is not known under timm's names.");
}

// timm's config.json: `pretrained_cfg` is an object of its own, or, in old files, the whole.
BaseSource read_timm(const Json& config) {
  const auto own = config.find("pretrained_cfg");
  if (own != config.end() && !own->is_object()) fail("pretrained_cfg: got ", json_kind(*own), ", expected an object.");
  Json pretrained = own == config.end() ? config : *own;
  for (const char* key : {"num_classes", "label_names", "label_descriptions"}) {
    if (const auto found = config.find(key); found != config.end() && !found->is_null()) pretrained[key] = *found;
  }
  const auto arguments = config.find("model_args");
  if (arguments != config.end() && arguments->is_object() && !arguments->empty()) {
    fail("model_args: got '", printable(arguments->begin().key()),
         "', which changes the network, expected none. Save the model with timm.create_model's defaults.");
  }
  const auto& architecture = config.at("architecture");
  if (!architecture.is_string()) fail("architecture: got ", json_kind(architecture), ", expected a string.");
  BaseSource out;
  try {
    auto entry = std::make_shared<ModelEntry>(timm_entry(architecture.get<std::string>()));
    entry->library = Library::kTimm;
    out.graph = entry->build();
    out.entry = std::move(entry);
  } catch (const UsageError& error) {
    throw Error(cat("architecture: ", error.what()));
  }
  out.preprocessing = timm_config_preprocessing(pretrained, out.notes);
  if (const auto classes = pretrained.find("num_classes"); classes != pretrained.end()) {
    if (!classes->is_number_integer() || *classes < 0 || *classes > kMaxOutputs)
      fail("num_classes: got ", printable(json_text(*classes)), ", expected an integer up to ", kMaxOutputs, ".");
    if (*classes > 0) set_output_features(out.graph, classes->get<std::int64_t>());
  }
  out.classes = timm_labels(ConfigValues(pretrained));
  return out;
}

// The steps of a transformers model without preprocessor_config.json: its image processor's defaults, for the images
// that the network was made for.
Json default_processor(const Json& config) {
  const auto size = config.find("image_size");
  return size == config.end() || !size->is_number_integer() ? Json::object() : Json{{"size", *size}};
}

BaseSource read_transformers(const Json& config, const ModelFiles& files) {
  BaseSource out;
  in_file(files.config, [&] {
    out.entry = std::make_shared<const ModelEntry>(transformers_model(config));
    out.graph = out.entry->build();
    out.classes = transformers_labels(ConfigValues(config));
  });
  const std::string type = config.at("model_type").get<std::string>();
  if (files.preprocessor) {
    const Json processor = read_object(*files.preprocessor);
    out.preprocessing =
        in_file(*files.preprocessor, [&] { return transformers_preprocessing(processor, type, out.notes); });
  } else {
    out.preprocessing =
        in_file(files.config, [&] { return transformers_preprocessing(default_processor(config), type, out.notes); });
    out.notes.push_back(cat(files.folder.string(), ": has no preprocessor_config.json; images are prepared as by the ",
                            "defaults of transformers"));
  }
  return out;
}

// Each value of a config.json is in its range, but their products may be those of no network.
void require_plausible_size(const Graph& graph, const fs::path& config) {
  constexpr std::int64_t kMostParameters = 100'000'000'000;
  double total = 0;
  for (const Parameter& parameter : graph.parameters())
    total += std::accumulate(parameter.shape.begin(), parameter.shape.end(), 1.0, std::multiplies<>());
  if (total > static_cast<double>(kMostParameters)) {
    fail(config.string(), ": got sizes of a network of ", total, " parameters, expected at most ",
         with_commas(kMostParameters), ".");
  }
}

BaseSource read_model_config(const ModelFiles& files) {
  const Json config = read_object(files.config);
  BaseSource out;
  if (config.contains("architecture")) {
    out = in_file(files.config, [&] { return read_timm(config); });
  } else if (config.contains("model_type")) {
    out = read_transformers(config, files);
  } else {
    fail(files.config.string(),
         ": got neither \"model_type\" nor \"architecture\", expected a model that transformers or timm saved.");
  }
  require_plausible_size(out.graph, files.config);
  const auto outputs = static_cast<std::size_t>(output_features(out.graph));
  if (!out.classes.empty() && out.classes.size() != outputs) {
    fail(files.config.string(), ": got ", counted(out.classes.size(), "name"), " of classes, expected ", outputs,
         ", one for each output.");
  }
  out.weights = files.weights;
  return out;
}

// An entry of that name, for messages and for adapters, and what opens the same in Python; `scheme` is timm's.
void rename_entry(BaseSource& source, const std::string& name, const std::string& scheme) {
  auto entry = std::make_shared<ModelEntry>(*source.entry);
  entry->name = name;
  const std::string path = plain_text(source.weights_name, "._-/@");  // people run it
  const std::size_t at = scheme == kHubScheme ? path.rfind('@') : path.size();
  entry->python = entry->library == Library::kTransformers
                      ? "transformers.AutoModelForImageClassification.from_pretrained(\"" + path.substr(0, at) + "\"" +
                            (at == path.size() ? "" : ", revision=\"" + path.substr(at + 1) + "\"") + ")"
                      : "timm.create_model(\"" + scheme + path + "\", pretrained=True)";
  source.entry = std::move(entry);
}

BaseSource read_folder(const fs::path& folder, bool with_weights) {
  BaseSource out = read_model_config(find_model_files(folder, with_weights));
  out.folder = without_trailing_slash(fs::absolute(folder).lexically_normal());
  out.weights_name = to_utf8(out.folder.filename().string());
  rename_entry(out, out.weights_name, "local-dir:");
  return out;
}

BaseSource read_hub_model(const HubName& name, const DownloadCallback& progress, bool with_weights) {
  HubRepository repository(name, progress);
  BaseSource out = read_model_config(fetch_model_files(repository, with_weights));
  if (!repository.offline_reason().empty()) {
    out.notes.push_back(cat(name.repository, ": taken from the cache, because ", repository.offline_reason()));
  }
  out.weights_name = name.repository + "@" + repository.commit();
  rename_entry(out, name.repository, kHubScheme);
  return out;
}

BaseSource read_official_hub_model(const ModelEntry& entry, const DownloadCallback& progress) {
  try {
    BaseSource out = read_hub_model({entry.hub.repository}, progress, /*with_weights=*/true);
    out.notes.push_back(cat(entry.name, ": its weights are ", out.weights_name, " of the Hub"));
    return out;
  } catch (const Error& error) {
    throw Error(cat(error.what(), " Or name a file with the weights of ", entry.name, ": --weights FILE, in a recipe ",
                    "weights: FILE."));
  }
}

}  // namespace

bool is_folder_or_hub_model(const std::string& name) {
  return !is_model_name(name) && (is_model_folder(name) || parse_hub_name(name));
}

BaseSource find_base(const std::string& name, const DownloadCallback& progress, bool with_weights) {
  if (!is_model_name(name)) {
    if (is_model_folder(name)) return read_folder(name, with_weights);
    std::error_code ignored;
    if (fs::is_regular_file(name, ignored)) {
      fail_usage("model: got the file ", printable(name),
                 ", expected the name or the folder of a model. Name a weights file with --weights.");
    }
    if (const auto hub = parse_hub_name(name)) return read_hub_model(*hub, progress, with_weights);
  }
  const ModelEntry& entry = find_model(name);
  if (with_weights && !entry.hub.repository.empty()) return read_official_hub_model(entry, progress);
  BaseSource out;
  out.entry = of_table(entry);
  out.graph = entry.build();
  out.preprocessing = default_preprocessing(name);
  return out;
}

NamedTensors with_network_name(NamedTensors file, const Graph& graph) {
  std::string prefix;
  for (const Parameter& parameter : graph.parameters()) {
    if (parameter.node == graph.output()) continue;
    const std::string first = parameter.name.substr(0, parameter.name.find('.') + 1);
    if (first.empty() || (!prefix.empty() && first != prefix)) return file;
    prefix = first;
  }
  NamedTensors out;
  out.notes = file.notes;
  for (const auto& [name, tensor] : file) {
    if (name.starts_with(prefix)) return file;
    out.add(prefix + name, tensor);
  }
  return out;
}

NamedTensors read_weights(const std::vector<fs::path>& files) {
  if (files.size() == 1) return read_weights_file(files.front());
  NamedTensors out;
  for (const fs::path& file : files) {
    const NamedTensors part = file.extension() == ".safetensors" ? read_safetensors(file) : read_weights_file(file);
    for (const auto& [name, tensor] : part) {
      if (out.contains(name))
        fail(file.string(), ": got the tensor '", printable(name), "', expected it in one file of the model alone.");
      out.add(name, tensor);
    }
    out.notes.insert(out.notes.end(), part.notes.begin(), part.notes.end());
  }
  out.remove_wrapper_prefixes();
  return out;
}

}  // namespace lorikeet
