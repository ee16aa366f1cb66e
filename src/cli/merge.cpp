#include <cstdio>
#include <memory>

#include "base/error.h"
#include "base/text.h"
#include "cli/commands.h"
#include "io/weights_file.h"

namespace lorikeet::cli {
namespace {

struct MergeCommandOptions {
  ModelOptions model;
  std::string names;
  std::string out;
};

int merge_command(const MergeCommandOptions& options) {
  check_weights_name(options.out);  // before downloading weights
  const Model model = load(options.model.name, options.model.load_options());
  const MergeResult merged = model.merge(options.out, {.names = options.names});
  std::printf("%s: %s, %s, the state dict of %s%s%s\n", options.out.c_str(), counted(merged.tensors, "tensor").c_str(),
              human_bytes(merged.bytes).c_str(), model.name().c_str(),
              options.names.empty() ? "" : cat(" under the names of ", options.names).c_str(),
              model.is_adapted() ? " with the adapter merged" : "");
  if (!merged.head.empty()) {
    std::printf(
        "%s: added head; a plain %s does not have it, remove it from the file before loading with strict=True\n",
        join(merged.head, ", ").c_str(), model.name().c_str());
  }
  return 0;
}

}  // namespace

void add_merge(CLI::App& app, int& status) {
  auto* command = app.add_subcommand("merge",
                                     "Merge an adapter into its base: a state dict for plain torchvision, timm or "
                                     "transformers");
  auto options = std::make_shared<MergeCommandOptions>();
  options->model.add_to(*command, kAnyModel, false);
  command->add_option("--out", options->out, "The file; its ending says the format: .pth (torch.load) or .safetensors")
      ->required()
      ->type_name("FILE");
  add_names_option(*command, options->names, "Library whose names the tensors have; default: the model's own");
  command->footer(
      "The file contains every tensor of model.state_dict(), in float32: create the model with the same number of "
      "classes and load it with strict=True.\n"
      "An added head is not part of a plain model: its layers are in the same file as head.0.weight, head.0.bias …");
  command->callback([options, &status] { status = merge_command(*options); });
}

}  // namespace lorikeet::cli
