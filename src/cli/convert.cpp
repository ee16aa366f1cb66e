// lorikeet convert: an adapter under another library's names of the same network, as one file or a folder, or as LoRA.
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <optional>
#include <utility>

#include "adapters/methods.h"
#include "adapters/peft_support.h"
#include "base/compute.h"
#include "base/error.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/progress_bar.h"
#include "export/adapter_card.h"
#include "loading/adapter_names.h"
#include "loading/as_lora.h"
#include "loading/base_source.h"
#include "loading/convert_adapter.h"
#include "loading/loaded_model.h"
#include "loading/resolve_name.h"
#include "models/weights.h"

namespace fs = std::filesystem;

namespace lorikeet::cli {
namespace {

struct ConvertOptions {
  std::string adapter;
  std::string names;
  std::string model;
  std::string weights;
  std::string to_model;
  std::string to_weights;
  std::string out;
  std::string positional_out;
  std::string precision;  // empty: as it is
  bool as_lora = false;
  bool force = false;
};

// The adapter under its own library's names, and its base.
struct Source {
  AdapterFolder folder;
  ModelEntry entry;
  Graph graph;
  /// Absent if they are not needed: the adapter has no metadata, so that no SHA-256 identifies its base.
  std::optional<NamedTensors> weights;
};

// The entry of a model with another number of outputs than the table's.
ModelEntry with_outputs(const ModelEntry& entry, std::int64_t outputs) {
  ModelEntry out = entry;
  out.network = [network = entry.network, outputs] {
    Graph graph = network();
    set_output_features(graph, outputs);
    return graph;
  };
  return out;
}

void print_notes(const std::vector<std::string>& notes) { std::for_each(notes.begin(), notes.end(), print_note); }

bool needs_weights(const AdapterFolder& folder, const std::string& out) {
  const LoraStart start = folder.spec.config.init_lora_weights;  // PiSSA and OLoRA are completed from the base
  return folder.metadata || start == LoraStart::kPissa || start == LoraStart::kOlora || has_adapter_file_ending(out);
}

// A file records its base, which a folder that PEFT wrote does not.
AdapterMetadata metadata_of(const LoadedModel& loaded) {
  return {loaded.entry->name, loaded.weights_name, loaded.base_sha256.get(),
          loaded.has_class_names ? loaded.classes : std::vector<std::string>{}, loaded.preprocessing};
}

Source open_source(const ConvertOptions& options) {
  const fs::path path = find_adapter(options.adapter);
  const ModelChoice choice{options.model, options.weights, options.force};
  Source out{read_adapter(path), {}, {}, {}};
  if (needs_weights(out.folder, options.out) || !options.weights.empty()) {
    const BaseModel base = load_base_of(out.folder, path, choice, download_bar());
    LoadedModel loaded = adapt_base(base, std::move(out.folder), path, options.force);
    print_notes(loaded.notes);
    out.folder = *std::move(loaded.adapter);
    SavedAdapter saved = loaded.network.saved_adapter();
    out.folder.spec.config = std::move(saved.config);
    out.folder.tensors = std::move(saved.tensors);
    out.folder.for_peft = std::move(saved.for_peft);
    if (!out.folder.metadata && has_adapter_file_ending(options.out)) {
      out.folder.metadata = metadata_of(loaded);
      out.folder.spec.config.base_model_name_or_path = base.entry->name;
    }
    out.entry = with_outputs(*base.entry, output_features(base.graph));
    out.graph = base.graph;
    out.weights = base.weights;
    return out;
  }
  const BaseSource base =
      find_base(choice_of_adapter(out.folder, path, choice).model, download_bar(), /*with_weights=*/false);
  print_notes(base.notes);
  use_current_names(out.folder, *base.entry, base.graph);
  adapt_as(out.folder, base.graph, path);  // checks the tensors
  out.entry = with_outputs(*base.entry, output_features(base.graph));
  return out;
}

std::vector<std::string> names_in(const Graph& graph) {
  std::vector<std::string> out;
  for (const auto& parameter : graph.parameters()) out.push_back(parameter.name);
  return out;
}

// What distinguishes `found` from `expected`, or "". The epsilons of norms are not compared: the libraries have other
// ones for the same weights.
std::string difference(const Graph& found, const Graph& expected) {
  if (names_in(found) != names_in(expected)) return "other modules";
  const auto own = found.parameters(), others = expected.parameters();
  for (std::size_t i = 0; i < own.size(); ++i) {
    if (own[i].shape != others[i].shape) {
      return cat(own[i].name, " of shape ", shape_text(own[i].shape), " instead of ", shape_text(others[i].shape));
    }
  }
  const auto heads = [](const Op& op) {
    const auto* attention = std::get_if<Attention>(&op);
    const auto* window = std::get_if<WindowAttention>(&op);
    return attention != nullptr ? attention->heads : window != nullptr ? window->heads : 0;
  };
  for (NodeId id = 0; id < std::min(found.nodes().size(), expected.nodes().size()); ++id) {
    if (const auto count = heads(found.node(id).op); count != heads(expected.node(id).op))
      return cat(found.node(id).name, " with ", counted(count, "head"), " instead of ", heads(expected.node(id).op));
  }
  return "";
}

// Makes the model that --to-model and --to-weights name the recorded base. `sha256` is that of its weights under the
// new names; it is not used for an adapter without metadata.
void record_base(const ConvertOptions& options, const ModelEntry& from, const std::string& sha256,
                 AdapterFolder& folder) {
  const BaseSource source = find_base(options.to_model, download_bar(), /*with_weights=*/false);
  const std::string unlike = difference(source.graph, converted_graph(from, library_named(options.names)));
  if (!unlike.empty()) {
    fail_usage("--to-model: got ", source.entry->name, ", which has ", unlike, ", expected ", from.name,
               " under the module names of ", options.names, ".");
  }
  folder.spec.config.base_model_name_or_path = source.entry->name;
  if (!folder.metadata) return;
  const BaseModel base = load_base_model({options.to_model, options.to_weights}, download_bar());
  print_notes(base.notes);
  if (!options.force && base.sha256.get() != sha256) {
    fail("--to-model: got base weights '", base.weights_name, "' with SHA-256 ", base.sha256.get().substr(0, 16),
         "…, expected those of the adapter's base, which have ", sha256.substr(0, 16),
         "… under the new names. Accept others with --force.");
  }
  folder.metadata->base_model = base.entry->name;
  folder.metadata->base_weights = base.weights_name;
  folder.metadata->base_sha256 = base.sha256.get();
}

AdapterFolder converted(const Source& source, Library library, const std::string& name) {
  try {
    return convert_adapter(source.folder, source.entry, library);
  } catch (const Error& error) {
    throw Error(cat(name, ": ", error.what()));  // which begins with the module
  }
}

// Says why PEFT does not open a folder, and what it opens instead.
std::string folder_text(const Graph& base, const AdapterFolder& folder) {
  const Adaptation adaptation = adapt(base, folder.spec);
  const std::string why = peft_obstacle(base, adaptation);
  if (why.empty()) return "a folder for PEFT";
  print_note(cat(why, has_lora_form(base, adaptation) ? "; --as-lora writes the same as LoRA, which PEFT opens" : ""));
  return "a folder";
}

// Without --names: the adapter in another form.
int convert_form(const ConvertOptions& options, StoredPrecision precision) {
  if (!options.to_model.empty()) fail_usage("--to-model: got it without --names, expected both.");
  if (!has_adapter_file_ending(options.out) && !is_adapter_file(find_adapter(options.adapter)))
    fail_usage("convert: got a folder and a folder without a change, expected NAME", kAdapterFileEnding,
               " for one file, --names for another library's module names, or --as-lora.");
  Source source = open_source(options);
  std::string form = options.precision.empty() ? name_of(FilePrecision::kFloat32) : options.precision;
  if (const auto& file = source.folder.file) {
    const bool keeps = options.precision.empty() || options.precision == precision_name(*file);
    if (keeps) form = precision_name(*file);
    if (!keeps || !has_adapter_file_ending(options.out)) {
      precision.scales = same_precision(*file).scales;
      forget_accuracies_before_rounding(source.folder);
    } else {
      precision = same_precision(*file);
    }
  }
  const NamedTensors none;
  const std::uint64_t bytes =
      save_adapter(options.out, source.folder, {source.graph, source.weights ? *source.weights : none}, precision);
  if (!has_adapter_file_ending(options.out)) form = folder_text(source.graph, source.folder);
  std::printf("%s: %s, %s, %s\n", options.out.c_str(), counted(source.folder.tensors.size(), "tensor").c_str(),
              form.c_str(), human_bytes(bytes).c_str());
  return 0;
}

int as_lora_command(const ConvertOptions& options, const StoredPrecision& precision) {
  const fs::path path = find_adapter(options.adapter);
  AdapterFolder folder = read_adapter(path);
  const BaseModel base = load_base_of(folder, path, {options.model, options.weights, options.force}, download_bar());
  const LoadedModel loaded = adapt_base(base, std::move(folder), path, options.force);
  print_notes(loaded.notes);
  folder = *loaded.adapter;
  forget_accuracies_before_rounding(folder);
  try {
    folder = as_lora(loaded.network, folder, base.graph);
  } catch (const Error& error) {
    throw Error(cat(options.adapter, ": ", error.what()));  // which begins with the module
  }
  const std::uint64_t bytes = save_adapter(options.out, folder, {base.graph, base.weights}, precision);
  std::printf("%s: %s, %s\n", options.out.c_str(), summary(folder.spec.config).c_str(), human_bytes(bytes).c_str());
  return 0;
}

int convert_command(ConvertOptions options) {
  if (options.out.empty() == options.positional_out.empty())
    fail_usage("convert: got ", options.out.empty() ? "no name" : "two names",
               " for the new adapter, expected one: lorikeet convert ADAPTER NEW.");
  if (options.out.empty()) options.out = options.positional_out;
  check_new_adapter(options.out, {find_adapter(options.adapter)});
  const StoredPrecision precision{
      .bits = options.precision.empty() ? kFloat32Bits : stored_bits(*parse_file_precision(options.precision))};
  if (precision.bits != kFloat32Bits && !has_adapter_file_ending(options.out))
    fail_usage("--precision: got ", options.precision, " for a folder, expected it with NAME", kAdapterFileEnding,
               ". PEFT's folders are in float32.");
  if (options.as_lora) return as_lora_command(options, precision);
  if (options.names.empty()) return convert_form(options, precision);
  const Library library = library_named(options.names);
  Source source = open_source(options);
  forget_accuracies_before_rounding(source.folder);
  AdapterFolder folder = converted(source, library, options.adapter);
  const std::string sha256 = source.weights ? fingerprint(convert_weights(*source.weights, source.entry, library)) : "";
  const bool changes = names_in(source.entry.build()) != names_in(converted_graph(source.entry, library));
  if (!options.to_model.empty()) {
    record_base(options, source.entry, sha256, folder);
  } else if (changes) {
    // No model of that name: the base must be named when the adapter is used.
    folder.spec.config.base_model_name_or_path.clear();
    if (auto& metadata = folder.metadata) {
      metadata->base_model = metadata->base_weights = cat(metadata->base_model, " (names of ", options.names, ")");
      metadata->base_sha256 = sha256;
    }
  }
  if (changes) folder.spec.config.other.erase("auto_mapping");  // PEFT's, of the class that was adapted
  if (auto& metadata = folder.metadata; changes && metadata && metadata->precision == Precision::kInt8) {
    print_note("the new adapter is in float32: int8's scales belong to the old names");
    metadata->precision = Precision::kFloat32;
    metadata->activation_ranges.clear();
  }
  const NamedTensors weights =
      source.weights ? convert_weights(*source.weights, source.entry, library) : NamedTensors();
  const std::uint64_t bytes =
      save_adapter(options.out, folder, {converted_graph(source.entry, library), weights}, precision);
  std::printf("%s: %s under the names of %s, %s\n", options.out.c_str(),
              counted(folder.tensors.size(), "tensor").c_str(), options.names.c_str(), human_bytes(bytes).c_str());
  return 0;
}

}  // namespace

void add_convert(CLI::App& app, int& status) {
  auto* command = app.add_subcommand(
      "convert", "Convert an adapter to one file or a folder, to another library's module names, or to LoRA");
  auto options = std::make_shared<ConvertOptions>();
  command->add_option("adapter", options->adapter, kAnyAdapter)->required()->type_name("ADAPTER");
  command->add_option("new", options->positional_out, "The new adapter: NAME.lorikeet for one file, or a folder")
      ->type_name("NEW");
  command->add_option("-o,--out", options->out, "The same as NEW")->type_name("NEW");
  command
      ->add_option("--precision", options->precision,
                   "Of the learned tensors in a file: float32 is lossless; int8 and int4 are levels with scales, int8 "
                   "for tensors of one dimension. Default: a file of a file keeps its own, otherwise float32")
      ->check(CLI::IsMember(file_precision_names()));
  auto* names = add_names_option(*command, options->names,
                                 "Library whose module names the new adapter has; default: the same ones");
  command
      ->add_flag(
          "--as-lora", options->as_lora,
          "Write LORA_XS, TINYLORA, VERA or UNILORA as LoRA with the same result, which PEFT opens on all layers")
      ->excludes(names);
  command->add_option("--model", options->model, "Base model of the adapter, if the adapter does not record it")
      ->type_name("NAME");
  command->add_option("--weights", options->weights, "File with its weights")->type_name("FILE");
  auto* to_model =
      command
          ->add_option("--to-model", options->to_model,
                       "Base model of the new adapter, with the same weights under the new names: a name, a folder, or "
                       "ORG/NAME of the Hub")
          ->type_name("NAME");
  command->add_option("--to-weights", options->to_weights, "File with its weights")->needs(to_model)->type_name("FILE");
  command->add_flag("--force", options->force, "Accept base weights other than those the adapter was trained on");
  command->footer(
      "'lorikeet convert runs/photos photos.lorikeet' writes one small file, which every command reads; 'lorikeet "
      "convert\nphotos.lorikeet photos' a folder, which PEFT opens if it has the method for these layers.\n"
      "With --names, the new adapter computes the same over the other library's model with the same weights, and "
      "PEFT\nopens it there.\n"
      "Without --to-model it does not record where its base is, only the SHA-256 of the base under the new names: name "
      "the\nbase with --model when it is used. 'lorikeet merge MODEL --names LIBRARY' converts the weights of a base. "
      "Where\ntimm's qkv is three layers in transformers, LoRA, DoRA and IA3 are divided or joined exactly. Names of "
      "transformers\nare those of version 5; adapters with the names of version 4 are read.");
  command->callback([options, &status] { status = convert_command(*options); });
}

}  // namespace lorikeet::cli
