#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <numeric>
#include <utility>

#include "adapters/adapter_file.h"
#include "adapters/methods.h"
#include "base/compute.h"
#include "base/error.h"
#include "base/json.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/progress_bar.h"
#include "engine/memory.h"
#include "engine/tensor_type.h"
#include "graph/shapes.h"
#include "io/named_tensors.h"
#include "loading/adapter_names.h"
#include "loading/base_source.h"
#include "loading/loaded_model.h"
#include "loading/resolve_name.h"
#include "models/weights.h"
#include "report/table.h"
#include "train/recipe.h"

namespace fs = std::filesystem;

namespace lorikeet::cli {
namespace {

constexpr double kByte = 8;

struct InspectOptions {
  ModelOptions model;
  std::string match;
  std::int64_t rank = 8;
  std::vector<std::string> settings;
  int image_size = 0;
  bool json = false;
  bool memory = false;
  std::int64_t batch_size = 64;
  std::string precision = name_of(Precision::kFloat32);
};

// The graph to inspect, with its adapter if there is one. No weights are needed, but those given are checked.
struct Subject {
  std::shared_ptr<const ModelEntry> model;
  Graph graph;
  std::optional<AdapterFolder> adapter;
  Adaptation adaptation;
  Preprocessing preprocessing;
};

// The model that `choice` names, with its weights where it names them.
void open_base(const ModelChoice& choice, Subject& out) {
  if (choice.weights.empty()) {
    BaseSource source = find_base(choice.model, download_bar(), /*with_weights=*/false);
    std::for_each(source.notes.begin(), source.notes.end(), print_note);
    out.model = source.entry;
    out.graph = std::move(source.graph);
    out.preprocessing = source.preprocessing;
    return;
  }
  const BaseModel base = load_base_model(choice, download_bar());
  std::for_each(base.notes.begin(), base.notes.end(), print_note);
  out.model = base.entry;
  out.graph = base.graph;
  out.preprocessing = base.preprocessing;
}

Subject open_subject(const ModelOptions& options) {
  Subject out;
  const ModelChoice given{options.model, options.weights};
  const ResolvedName resolved = resolve_name(options.name);
  if (resolved.kind != NameKind::kAdapter) {
    open_base(base_choice(options.name, given), out);
    out.adaptation.graph = out.graph;
    return out;
  }
  out.adapter = read_adapter(resolved.path);
  open_base(choice_of_adapter(*out.adapter, resolved.path, given), out);
  use_current_names(*out.adapter, *out.model, out.graph);
  out.adaptation = adapt_as(*out.adapter, out.graph, resolved.path);
  out.graph = out.adaptation.graph;
  if (const auto& metadata = out.adapter->metadata) {
    out.preprocessing = metadata->preprocessing;
    const auto outputs = static_cast<std::size_t>(output_features(out.graph));
    if (!metadata->classes.empty() && metadata->classes.size() != outputs)
      print_note(cat(resolved.path.string(), ": got ", counted(metadata->classes.size(), "class name"), " for ",
                     counted(outputs, "output"), ", expected as many; other commands refuse it"));
  }
  return out;
}

struct NodeRow {
  std::string name, kind, output;
  std::int64_t parameters = 0;
  std::int64_t trainable = 0;
  std::int64_t macs = 0;
};

std::vector<NodeRow> node_rows(const Subject& subject, int size) {
  const auto shapes = infer_shapes(subject.graph, size, size);
  const auto macs = count_macs(subject.graph, size, size);
  std::vector<NodeRow> out;
  for (NodeId id = 0; id < subject.graph.nodes().size(); ++id) {
    const Node& node = subject.graph.node(id);
    NodeRow row{node.name, describe(node.op), shape_text(shapes[id]), 0, 0, macs[id]};
    for (const auto& parameter : subject.graph.parameters(id))
      row.parameters += parameter.buffer ? 0 : parameter.count();
    out.push_back(std::move(row));
  }
  for (const auto& parameter : trainable_parameters(subject.adaptation))
    out[parameter.node].trainable += parameter.count();
  return out;
}

// The method whose parameters --match counts.
AdapterConfig matched_config(const InspectOptions& options) {
  const std::string recipe =
      cat("data: mnist\ntarget_modules: all-linear\nr: ", options.rank, "\n");  // the pattern follows
  const Recipe plain = parse_recipe(recipe, "inspect", {});
  Recipe read = parse_recipe(recipe, "inspect", options.settings);
  AdapterConfig config = std::exchange(read.adapter.config, plain.adapter.config);
  if (recipe_yaml(read) != recipe_yaml(plain) || config.target_modules != plain.adapter.config.target_modules)
    fail_usage("inspect: got ", printable(join(options.settings, " ")),
               ", expected only keys of a method, such as peft_type=TINYLORA, r=2 or u=13.");
  config.target_modules = options.match;
  return config;
}

std::string matched_text(const AdapterConfig& config) {
  const Method& method = method_of(config);
  if (method.peft_type == PeftType::kLora) return cat(method.name, " with r=", config.r);
  std::string out = summary(config);
  if (const auto comma = out.find(", "); comma != std::string::npos) out.replace(comma, 2, " with ");
  return out;
}

// Returns the modules that the pattern of `config` matches, with the parameters of its method.
std::vector<NodeRow> matching(const std::vector<NodeRow>& rows, const Graph& graph, const AdapterConfig& config) {
  const Adaptation adaptation = adapt(graph, {config, std::nullopt, std::nullopt});
  std::vector<NodeRow> out;
  for (const auto& target : adaptation.targets) out.push_back(rows[target.node]);
  for (auto& row : out) row.trainable = 0;
  for (const auto& parameter : trainable_parameters(adaptation)) {
    for (auto& row : out) row.trainable += row.name == graph.node(parameter.node).name ? parameter.count() : 0;
  }
  return out;
}

Json adapter_json(const AdapterFolder& adapter) {
  const AdapterConfig& config = adapter.spec.config;
  Json out{{"method", method_of(config).name},
           {"peft_type", name_of(config.peft_type)},
           {"r", config.r},
           {"lora_alpha", config.lora_alpha},
           {"tensors", Json::array()}};
  if (const auto& file = adapter.file) {
    double tensors = 0;
    for (const auto& tensor : file->tensors) {
      tensors += tensor.coding.stored_bits;
      out["tensors"].push_back({{"name", tensor.name},
                                {"shape", tensor.shape},
                                {"coding", describe(tensor.coding)},
                                {"bytes", tensor.coding.stored_bits / kByte}});
    }
    out["file"] = {{"bytes", file->bytes}, {"header_bytes", file->header_bytes}, {"tensor_bytes", tensors / kByte}};
  } else {
    for (const auto& [name, tensor] : adapter.tensors)
      out["tensors"].push_back({{"name", name}, {"shape", tensor.sizes().vec()}});
  }
  if (const auto& metadata = adapter.metadata) {
    out["base_model"] = metadata->base_model;
    out["base_weights"] = metadata->base_weights;
    out["base_sha256"] = metadata->base_sha256;
    out["classes"] = metadata->classes;
    out["precision"] = name_of(metadata->precision);
    out["training"] = metadata->training;
  }
  return out;
}

void print_adapter(const AdapterFolder& adapter, const Adaptation& adaptation) {
  std::printf("adapter:   %s", summary(adapter.spec.config).c_str());
  std::vector<std::string> whole = adapter.spec.config.modules_to_save;
  if (adapter.spec.small_output && adaptation.replaced) {
    const std::string& output = adaptation.graph.node(*adaptation.replaced).name;
    std::erase(whole, output);
    std::printf(", small output %s, %s", output.c_str(), describe(*adapter.spec.small_output).c_str());
  }
  if (!whole.empty()) std::printf(", fully trained: %s", join(whole, ", ").c_str());
  std::printf("\n");
  if (const auto& metadata = adapter.metadata) {
    const bool has_one_name = metadata->base_weights == metadata->base_model;
    std::printf("base:      %s%s, SHA-256 %s\nclasses:   %s\n", metadata->base_model.c_str(),
                has_one_name ? "" : cat(", weights ", printable(metadata->base_weights)).c_str(),
                metadata->base_sha256.c_str(), printable(join(metadata->classes, ", "), 200).c_str());
  }
}

// What the bytes of an adapter's file are spent on.
void print_file(const AdapterFileParts& file) {
  double stored = 0;
  std::size_t left_out = 0;
  Table table({{"tensor"}, {"shape"}, {"stored as"}, {"bytes", true}, {"bits a number", true}});
  for (const auto& tensor : file.tensors) {
    stored += tensor.coding.stored_bits;
    if (tensor.coding.form == TensorForm::kStart) {
      ++left_out;
      continue;
    }
    double numbers = 1;
    for (const std::int64_t size : tensor.shape) numbers *= static_cast<double>(size);
    table.add({tensor.name, shape_text(tensor.shape), describe(tensor.coding),
               fixed(tensor.coding.stored_bits / kByte, 1),
               numbers > 0 ? fixed(tensor.coding.stored_bits / numbers, 2) : ""});
  }
  std::printf(
      "file:      %s bytes: tensors %s, classes, preprocessing and configuration %s, the rest (format, SHA-256, "
      "checksum, activation ranges) %s\n\n%s",
      with_commas(file.bytes).c_str(), fixed(stored / kByte, 0).c_str(), with_commas(file.header_bytes).c_str(),
      fixed(static_cast<double>(file.bytes - file.header_bytes) - stored / kByte, 0).c_str(), table.markdown().c_str());
  if (left_out > 0)
    std::printf("\n%s not stored, because a new network has the same\n",
                left_out == 1 ? "1 tensor is" : cat(left_out, " tensors are").c_str());
}

MemoryEstimate memory_of(const Subject& subject, int size, const InspectOptions& options) {
  return estimate_memory(subject.adaptation, {size, size, activation_bytes(*parse_precision(options.precision))},
                         options.batch_size);
}

int inspect_command(const InspectOptions& options) {
  const Subject subject = open_subject(options.model);
  const int size = options.image_size > 0           ? options.image_size
                   : subject.preprocessing.crop > 0 ? subject.preprocessing.crop
                                                    : 224;
  const std::vector<NodeRow> all = node_rows(subject, size);
  std::int64_t parameters = 0, macs = 0;
  for (const auto& row : all) {
    parameters += row.parameters;
    macs += row.macs;
  }
  const std::int64_t trainable = count_trainable(subject.adaptation);
  if (options.match.empty() && !options.settings.empty())
    fail_usage("inspect: got '", printable(options.settings.front()), "' without --match, expected both.");
  const AdapterConfig matched = options.match.empty() ? AdapterConfig() : matched_config(options);
  const auto shown = options.match.empty() ? all : matching(all, subject.graph, matched);
  std::int64_t shown_trainable = 0;
  for (const auto& row : shown) shown_trainable += row.trainable;

  if (options.json) {
    Json nodes = Json::array();
    for (const auto& row : shown) {
      nodes.push_back({{"name", row.name},
                       {"op", row.kind},
                       {"output", row.output},
                       {"parameters", row.parameters},
                       {"trainable", row.trainable},
                       {"flops", 2 * row.macs}});
    }
    Json tensors = Json::array();
    for (const auto& parameter : subject.graph.parameters()) {
      tensors.push_back({{"name", parameter.name}, {"shape", parameter.shape}, {"buffer", parameter.buffer}});
    }
    Json out{{"model", subject.model->name},
             {"image_size", size},
             {"parameters", parameters},
             {"trainable_parameters", trainable},
             {"flops", 2 * macs},
             {"nodes", nodes},
             {"tensors", tensors}};
    if (!options.match.empty()) {
      Json& match = out["match"] = {{"pattern", options.match}, {"modules", shown.size()}};
      if (options.settings.empty()) {
        match["r"] = options.rank;
        match["lora_parameters"] = shown_trainable;
      } else {
        match["method"] = method_of(matched).name;
        match["parameters"] = shown_trainable;
      }
    }
    if (subject.adapter) out["adapter"] = adapter_json(*subject.adapter);
    if (options.memory) {
      const MemoryEstimate memory = memory_of(subject, size, options);
      out["memory"] = {
          {"batch_size", options.batch_size}, {"precision", options.precision}, {"weights", memory.weights},
          {"prepared", memory.prepared},      {"learning", memory.learning},    {"activations", memory.activations},
          {"evaluation", memory.evaluation},  {"program", memory.program},      {"total", memory.total()}};
    }
    std::printf("%s\n", json_text(out, 2).c_str());
    return 0;
  }

  std::printf("model:     %s, %s, %s, %s GFLOPs per image of %d pixels\n", subject.model->name.c_str(),
              counted(parameters, "parameter").c_str(), human_bytes(static_cast<std::uint64_t>(parameters) * 4).c_str(),
              fixed(2e-9 * static_cast<double>(macs), 2).c_str(), size);
  if (subject.adapter) print_adapter(*subject.adapter, subject.adaptation);
  if (trainable > 0) {
    std::printf("trainable: %s, %s of the model's\n", counted(trainable, "parameter").c_str(),
                share_text(static_cast<double>(trainable) / static_cast<double>(parameters)).c_str());
  }
  if (!options.match.empty()) {
    std::printf("match:     '%s' matches %s; %s has %s\n", options.match.c_str(),
                counted(shown.size(), "module").c_str(), matched_text(matched).c_str(),
                counted(shown_trainable, "parameter").c_str());
  }
  if (options.memory) {
    const MemoryEstimate memory = memory_of(subject, size, options);
    std::printf(
        "memory:    about %s for batches of %s: weights %s, packed weights %s, gradients and AdamW %s, "
        "activations %s (of an evaluation %s), the program with libtorch %s; the data and a cache of the frozen prefix "
        "not counted\n",
        human_bytes(memory.total()).c_str(), std::to_string(options.batch_size).c_str(),
        human_bytes(memory.weights).c_str(), human_bytes(memory.prepared).c_str(), human_bytes(memory.learning).c_str(),
        human_bytes(memory.activations).c_str(), human_bytes(memory.evaluation).c_str(),
        human_bytes(memory.program).c_str());
  }
  if (subject.adapter && subject.adapter->file) print_file(*subject.adapter->file);
  Table table({{"module"},
               {"operation"},
               {"output"},
               {"parameters", true},
               {options.match.empty() ? "trainable" : method_of(matched).name, true},
               {"MFLOPs", true}});
  for (const auto& row : shown) {
    table.add({row.name, row.kind, row.output, row.parameters > 0 ? with_commas(row.parameters) : "",
               row.trainable > 0 ? with_commas(row.trainable) : "",
               row.macs > 0 ? fixed(2e-6 * static_cast<double>(row.macs), 1) : ""});
  }
  std::printf("\n%s", table.markdown().c_str());
  return 0;
}

}  // namespace

void add_inspect(CLI::App& app, int& status) {
  auto* command = app.add_subcommand(
      "inspect", "Modules, shapes, parameter counts and FLOPs of a model or an adapter; what a pattern matches");
  auto options = std::make_shared<InspectOptions>();
  options->model.add_to(*command, kAnyModel, false);
  command
      ->add_option("--match", options->match,
                   "Only the modules that target_modules would match: a regular expression for the complete name")
      ->type_name("REGEX");
  command
      ->add_option("settings", options->settings,
                   "For --match: the method, by keys of a recipe, e.g. peft_type=TINYLORA r=2 u=13; default: LoRA")
      ->type_name("KEY=VALUE");
  command->add_option("--rank", options->rank, "r, for --match")->check(CLI::Range(1, 1 << 16))->capture_default_str();
  command
      ->add_option("--image-size", options->image_size,
                   "Height and width of the images in pixels; default: that of the adapter or the weights")
      ->check(CLI::Range(1, 4096));
  command->add_flag("--memory", options->memory,
                    "Also the memory of a training step, or without an adapter of a prediction");
  command->add_option("--batch-size", options->batch_size, "Images per step, for --memory")
      ->check(CLI::Range(1, 65536))
      ->capture_default_str();
  command->add_option("--precision", options->precision, "Precision of activations and frozen weights, for --memory")
      ->check(CLI::IsMember({name_of(Precision::kFloat32), name_of(Precision::kBFloat16)}))
      ->capture_default_str();
  command->add_flag("--json", options->json, "Print one JSON document on standard output");
  command->footer(
      "FLOPs: for one image, two per multiply-add of the convolutions and linear layers, without those of an adapter.\n"
      "Numbers that several layers share are listed with the first of them.");
  command->callback([options, &status] { status = inspect_command(*options); });
}

}  // namespace lorikeet::cli
