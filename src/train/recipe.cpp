#include "train/recipe.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <iomanip>
#include <sstream>

#include "adapters/target_sets.h"
#include "base/error.h"
#include "base/file.h"
#include "base/text.h"
#include "data/datasets.h"
#include "data/web_dataset.h"
#include "engine/tensor_type.h"
#include "models/models.h"
#include "train/ranges.h"
#include "train/recipe_field.h"
#include "train/recipe_key.h"

namespace fs = std::filesystem;

namespace lorikeet {
namespace {

constexpr std::uint64_t kMaxRecipe = 1 << 20;

// tune decides what is trained, so that keys with which it has nothing to do are mistakes.
void check_tuning(const AdaptationOptions& options) {
  const AdapterConfig& config = options.config;
  const Tuning tune = *options.tune;
  const bool takes_targets = tune == Tuning::kAdapter || tune == Tuning::kNorm || tune == Tuning::kBias;
  if (!takes_targets && config.has_targets() && !target_set(config.target_modules)) {
    fail_usage("tune: got ", name_of(tune), " with target_modules, expected one of them. Set target_modules: null.");
  }
  if (tune == Tuning::kAdapter && config.peft_type == PeftType::kLnTuning)
    fail_usage("tune: got adapter with peft_type LN_TUNING, expected tune: norm.");
  if (tune == Tuning::kNorm && config.peft_type != PeftType::kLora && config.peft_type != PeftType::kLnTuning)
    fail_usage("tune: got norm with peft_type ", name_of(config.peft_type), ", expected LN_TUNING.");
  if (tune == Tuning::kBias && config.peft_type != PeftType::kLora)
    fail_usage("tune: got bias with peft_type ", name_of(config.peft_type), ", expected it without one.");
  if (tune == Tuning::kBias && config.bias != TrainedBias::kNone && config.bias != TrainedBias::kAll)
    fail_usage("tune: got bias with bias: ", trained_bias_names()[static_cast<std::size_t>(config.bias)],
               ", expected bias: all, which it sets.");
}

void set(Recipe& recipe, const std::string& key, const YAML::Node& value) {
  if (key == "run") {
    recipe.run = without_trailing_slash(fields::text(key, value));
    return;
  }
  for (const auto& field : fields::all()) {
    if (field.key == key) return field.read(recipe, value);
  }
  const std::string meant = meant_key(key, recipe_keys());
  fail_usage(printable(key), ": got an unknown key.",
             meant.empty() ? " 'lorikeet train --help' lists them." : cat(" Did you mean '", meant, "'?"));
}

// Paths are relative to the current folder, not to the recipe's. Throws Error for one that exists only beside the
// recipe, with the path to write instead.
void require_not_beside(const Recipe& recipe, const fs::path& path) {
  const fs::path folder = parent_of(path);
  const auto& known = datasets();
  std::error_code ignored;
  for (const auto& [key, value] : {std::pair("data", &recipe.data.name), std::pair("weights", &recipe.weights),
                                   std::pair("start_from", &recipe.adapter.start_from)}) {
    const std::string first = is_shards(*value) ? expand_braces(*value).front() : *value;
    if (first.empty() || fs::path(first).is_absolute() || fs::exists(first, ignored)) continue;
    if (!fs::exists(folder / first, ignored)) continue;
    if (std::any_of(known.begin(), known.end(), [&](const DatasetEntry& entry) { return entry.name == first; }))
      continue;
    fail(printable(path.string()), ": ", key, ": got '", printable(*value),
         "', which is beside the recipe but not in the current folder, expected a path from the current folder, such "
         "as ",
         printable((folder / *value).string()), ".");
  }
}

}  // namespace

const std::vector<std::string>& searchable_keys() {
  static const std::vector<std::string> kKeys{"peft_type",    "target_modules",
                                              "head",         "r",
                                              "lora_alpha",   "u",
                                              "weight_tying", "theta_d_length",
                                              "n_frequency",  "learning_rate",
                                              "weight_decay", "file_precision"};
  return kKeys;
}

const std::vector<std::string>& tuning_names() {
  static const std::vector<std::string> kNames{"probe", "adapter", "norm", "bias", "partial", "full"};
  return kNames;
}

const std::string& name_of(Tuning tuning) { return tuning_names()[static_cast<std::size_t>(tuning)]; }

void AdaptationOptions::check() const {
  check_adapter_config(config, "recipe");
  if (head && head->size() > ranges::kHeadLayers)
    fail_usage("head: got ", head->size(), " widths, expected at most ", ranges::kHeadLayers, ".");
  for (const std::int64_t width : head.value_or(std::vector<std::int64_t>{})) {
    if (!ranges::kHeadWidth.contains(width))
      fail_usage("head: got ", width, ", expected widths from 1 to ", ranges::kHeadWidth.greatest, ".");
  }
  if (new_head && head) fail_usage("head: got new and widths, expected one of them.");
  if (small_output && !new_head && !replace_output)
    fail_usage("small_output: got it without replace_output, expected a new output.");
  if (tune) return check_tuning(*this);
  if (!config.has_targets() && config.modules_to_save.empty() && !head && !new_head &&
      config.bias == TrainedBias::kNone) {
    fail_usage(
        "recipe: got neither target_modules, modules_to_save, bias nor head, expected something to train. Set tune.");
  }
  // LORA is also the peft_type of recipes without an adapter that only train the output layer (or biases: BitFit).
  if (!config.has_targets() && config.bias == TrainedBias::kNone &&
      (config.peft_type != PeftType::kLora || config.use_dora)) {
    const bool tunes_norms = config.peft_type == PeftType::kLnTuning;
    fail_usage(config.use_dora ? "use_dora: got true" : "peft_type: got " + name_of(config.peft_type),
               " without target_modules, expected the layers to adapt, e.g. target_modules: '",
               tunes_norms ? ".*bn[12]" : ".*conv[12]",
               "'. To train only the output layer or a head, omit it; to train biases, set bias: all.");
  }
}

AdapterSpec AdaptationOptions::spec(std::int64_t classes) const {
  AdapterSpec out;
  out.config = config;
  if (replace_output) out.output_classes = classes;
  out.small_output = small_output;
  if (head) out.head = Head{*head, classes, head_activation};
  return out;
}

void Recipe::check() const {
  TrainingOptions::check();
  adapter.check();
}

Recipe resolved(Recipe recipe) {
  MachineOptions& machine = recipe.machine;
  machine.precision = resolved_precision(machine.precision, machine.device);
  if (recipe.loop.seconds > 0 && recipe.loop.epochs == 1) recipe.loop.epochs = ranges::kEpochs.greatest;
  OptimizerOptions& optimizer = recipe.optimizer;
  if (optimizer.schedule == ScheduleKind::kOneCycle && optimizer.warmup == 0) {
    optimizer.warmup = 0.3;  // OneCycleLR's pct_start
  }
  return recipe;
}

Recipe with_absolute_paths(Recipe recipe) {
  for (std::string* path : {&recipe.model, &recipe.data.name, &recipe.weights, &recipe.adapter.start_from}) {
    std::error_code missing;
    if (path == &recipe.model && is_model_name(recipe.model)) continue;
    const bool is_pattern = path == &recipe.data.name && is_shards(*path);        // of shards
    if (path->empty() || (!fs::exists(*path, missing) && !is_pattern)) continue;  // a name
    *path = without_trailing_slash(fs::absolute(*path).lexically_normal()).string();
  }
  return recipe;
}

Recipe load_recipe(const fs::path& path, const std::vector<std::string>& overrides) {
  if (std::error_code ignored; fs::is_directory(path, ignored)) {
    fail(printable(path.string()),
         ": got a folder, expected a file, a recipe in YAML. To train on images: data=FOLDER.");
  }
  Recipe recipe = parse_recipe(read_file(path, kMaxRecipe), path, overrides);
  require_not_beside(recipe, path);
  return recipe;
}

Recipe parse_recipe(const std::string& yaml, const fs::path& path, const std::vector<std::string>& overrides) {
  Recipe recipe;
  try {
    // YAML::Load would read only the first of several documents and silently ignore the others.
    const std::vector<YAML::Node> documents = YAML::LoadAll(yaml);
    if (documents.size() > 1)
      fail(path.string(), ": got ", documents.size(),
           " YAML documents, expected one recipe. Remove the line '---' between them.");
    const YAML::Node root = documents.empty() ? YAML::Node() : documents.front();
    if (!root.IsMap())
      fail(path.string(), ": got ", fields::shown(root), ", expected a recipe: lines of 'key: value'.");
    std::vector<std::string> seen;
    for (const auto& item : root) {
      const std::string key = fields::text("recipe", item.first);
      if (std::find(seen.begin(), seen.end(), key) != seen.end())
        fail_usage(key, ": got the key twice, expected each key once.");
      seen.push_back(key);
      set(recipe, key, item.second);
    }
  } catch (const UsageError& error) {
    throw Error(cat(path.string(), ": ", error.what()));
  } catch (const YAML::Exception& error) {
    fail(path.string(), ": line ", error.mark.line + 1, ": got broken YAML: ", printable(error.msg), ".");
  }
  for (const auto& override : overrides) {
    const std::size_t equals = override.find('=');
    if (equals == 0 || equals == std::string::npos)
      fail_usage("'", printable(override), "': got no key=value, expected e.g. epochs=3.");
    try {
      set(recipe, override.substr(0, equals), YAML::Load(override.substr(equals + 1)));
    } catch (const YAML::Exception& error) {
      fail_usage(printable(override), ": got a value that is not YAML: ", printable(error.msg), ".");
    }
  }
  recipe.check();
  return resolved(std::move(recipe));
}

std::set<std::string> named_keys(const fs::path& path, const std::vector<std::string>& overrides) {
  std::set<std::string> out;
  try {
    for (const auto& item : YAML::Load(read_file(path, kMaxRecipe))) {
      if (item.first.IsDefined() && item.first.IsScalar()) out.insert(item.first.Scalar());
    }
  } catch (const Error&) {
    return {};
  } catch (const YAML::Exception&) {
    return {};
  }
  for (const std::string& override : overrides) out.insert(override.substr(0, override.find('=')));
  return out;
}

std::string recipe_yaml(const Recipe& recipe) {
  YAML::Emitter out;
  out << YAML::BeginMap;
  for (const auto& field : fields::all()) {
    out << YAML::Key << field.key << YAML::Value;
    field.write(recipe, out);
  }
  out << YAML::EndMap;
  return std::string(out.c_str()) + "\n";
}

std::vector<std::pair<std::string, std::string>> recipe_values(const Recipe& recipe) {
  std::vector<std::pair<std::string, std::string>> out;
  for (const auto& field : fields::all()) {
    YAML::Emitter value;
    field.write(recipe, value);
    out.emplace_back(field.key, value.c_str());
  }
  return out;
}

std::vector<std::string> recipe_keys() {
  std::vector<std::string> out{"run"};
  for (const auto& field : fields::all()) out.push_back(field.key);
  return out;
}

std::string recipe_help() {
  const Recipe defaults;
  std::ostringstream out;
  for (const auto& field : fields::all()) {
    YAML::Emitter value;
    if (field.key != "reference") field.write(defaults, value);  // a table would need several lines
    out << "  " << std::left << std::setw(22) << field.key << ' ' << std::setw(12)
        << (value.size() > 0 ? value.c_str() : "") << ' ' << field.meaning << '\n';
  }
  return std::move(out).str();
}

std::int64_t view_count(const DataOptions& data) { return data.augmentation.any() ? data.cache_views : 1; }

Preprocessing data_preprocessing(const DataOptions& data, const Preprocessing& weights) {
  Preprocessing out = weights;
  out.exif = data.exif;
  if (data.image_size > 0) out.resize = out.crop = data.image_size;
  if (data.preprocess == Preprocess::kNormalise) out.resize = out.crop = 0;
  return out;
}

}  // namespace lorikeet
