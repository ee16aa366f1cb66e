// lorikeet extract: the change by full fine-tuning as an adapter.
#include <algorithm>
#include <cstdio>
#include <memory>

#include "adapters/extract.h"
#include "base/error.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/progress_bar.h"
#include "export/adapter_card.h"
#include "io/weights_file.h"
#include "loading/loaded_model.h"
#include "models/weights.h"
#include "report/table.h"
#include "train/recipe.h"

namespace lorikeet::cli {
namespace {

struct ExtractCommandOptions {
  std::string tuned;
  std::string model;
  std::string weights;
  std::string targets;
  std::vector<std::string> classes;
  ExtractOptions extract;
  lorikeet::DataOptions data;
  std::string out;
};

int extract_command(const ExtractCommandOptions& options) {
  check_new_adapter(options.out);
  const BaseModel base = load_base_model({options.model, options.weights}, download_bar());
  NamedTensors file = read_weights_file(options.tuned);
  for (const auto& notes : {base.notes, file.notes}) std::for_each(notes.begin(), notes.end(), print_note);
  Graph tuned_graph = base.graph;
  fit_outputs(file, *base.entry, tuned_graph);
  const NamedTensors tuned = fit_base_weights(std::move(file), options.tuned, *base.entry, tuned_graph);
  const std::int64_t outputs = output_features(tuned_graph);
  Extracted extracted = extract_lora(base.graph, base.weights, tuned, options.extract);
  std::vector<std::string> classes = options.classes;
  if (classes.empty()) {
    if (outputs == output_features(base.graph)) classes = base.classes;
    for (std::int64_t i = 0; classes.empty() || static_cast<std::int64_t>(classes.size()) < outputs; ++i)
      classes.push_back(std::to_string(i));
  }
  if (static_cast<std::int64_t>(classes.size()) != outputs)
    fail_usage("classes: got ", counted(classes.size(), "name"), ", expected ", outputs, ", one per output.");
  AdapterFolder& folder = extracted.folder;
  folder.spec.config.base_model_name_or_path = base.entry->name;
  double worst = 0;
  for (const auto& layer : extracted.layers) worst = std::max(worst, layer.error);
  folder.metadata = AdapterMetadata{base.entry->name, base.weights_name, base.sha256.get(), classes,
                                    data_preprocessing(options.data, base.preprocessing)};
  folder.metadata->training = {{"extracted_with_rank", options.extract.rank}, {"largest_error", worst}};
  const std::uint64_t bytes = save_adapter(options.out, folder, {base.graph, base.weights});

  Table table({{"layer"}, {"rank", true}, {"changed by", true}, {"error", true}});
  for (const auto& layer : extracted.layers) {
    table.add({layer.name, std::to_string(layer.rank), fixed(100 * layer.change, 3) + " %",
               fixed(100 * layer.error, 3) + " %"});
  }
  std::printf("%s\n", table.markdown().c_str());
  if (!extracted.kept.empty()) std::printf("saved in full: %s\n", printable(join(extracted.kept, ", "), 400).c_str());
  std::printf("%s: %s, largest error %s %%, %s\n", options.out.c_str(),
              counted(extracted.layers.size(), "layer").c_str(), fixed(100 * worst, 2).c_str(),
              human_bytes(bytes).c_str());
  return 0;
}

}  // namespace

void add_extract(CLI::App& app, int& status) {
  auto* command =
      app.add_subcommand("extract", "Extract an adapter from the difference between a base and its full fine-tuning")
          ->alias("unmerge");
  auto options = std::make_shared<ExtractCommandOptions>();
  command->add_option("--from", options->tuned, "File (.pth or .safetensors) with the tuned model's weights")
      ->required()
      ->type_name("FILE");
  command->add_option("--model", options->model, "Name of the base model")->required()->type_name("NAME");
  command->add_option("--weights", options->weights, "File with the base's weights; default: the official ones")
      ->type_name("FILE");
  command->add_option("--rank", options->extract.rank, "LoRA's rank")
      ->check(CLI::Range(1, 1 << 16))
      ->capture_default_str();
  command
      ->add_option("--match", options->targets,
                   "Layers for LoRA, as target_modules: a regular expression for the complete name; default: every "
                   "Conv2d and Linear except the output")
      ->type_name("REGEX");
  command
      ->add_option("--classes", options->classes,
                   "Names of the outputs, separated by commas; default: the base's, or 0, 1 …")
      ->delimiter(',')
      ->type_name("NAME");
  command
      ->add_option("--image-size", options->data.image_size,
                   "Image size of the tuned model; default: that of the base's weights")
      ->check(CLI::Range(16, 4096));
  command->add_option("--out", options->out, "The adapter: a folder, or NAME.lorikeet")->required()->type_name("NEW");
  command->footer(
      "error: the norm of the part of a layer's change that the rank leaves out, relative to the norm of the change.\n"
      "Changed modules without LoRA are saved completely, as modules_to_save. A weights file does not contain the\n"
      "preprocessing: set --image-size if the tuned model was trained at another size.");
  command->callback([options, &status] {
    if (!options->targets.empty()) options->extract.target_modules = options->targets;
    status = extract_command(*options);
  });
}

}  // namespace lorikeet::cli
