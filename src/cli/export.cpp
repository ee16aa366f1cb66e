#include <cstdio>
#include <filesystem>
#include <memory>

#include "base/error.h"
#include "base/text.h"
#include "cli/commands.h"

namespace lorikeet::cli {
namespace {

struct ExportOptions {
  ModelOptions model;
  std::string format = "onnx";
  std::string out;
  std::string preprocess;
  bool softmax = false;
  std::int64_t size = 0;
};

int export_command(const ExportOptions& options) {
  const std::filesystem::path out = options.out;
  if (out.extension() != ".onnx") {
    fail_usage(printable(options.out), ": got the ending '", printable(out.extension().string()), "', expected .onnx.");
  }
  const Model model = load(options.model.name, options.model.load_options());
  OnnxOptions onnx{.softmax = options.softmax, .size = options.size};
  if (!options.preprocess.empty())
    onnx.preprocess = options.preprocess == "eval" ? Preprocess::kEval : Preprocess::kNormalise;
  model.export_onnx(out, onnx);
  std::printf("%s: %s, %s%s\n", options.out.c_str(), human_bytes(std::filesystem::file_size(out)).c_str(),
              model.name().c_str(), model.is_adapted() ? " with the adapter merged" : "");
  return 0;
}

}  // namespace

void add_export(CLI::App& app, int& status) {
  auto* command = app.add_subcommand("export", "Export a model, or an adapter merged into its base, to ONNX");
  auto options = std::make_shared<ExportOptions>();
  options->model.add_to(*command, kAnyModel, false);
  command
      ->add_option("--format", options->format,
                   "onnx: operator set 17 (ONNX 1.12, onnxruntime 1.12 and newer), float32")
      ->check(CLI::IsMember({"onnx"}))
      ->capture_default_str();
  command->add_option("--out", options->out, "Output file, NAME.onnx")->required()->type_name("FILE");
  command
      ->add_option("--preprocess", options->preprocess,
                   "Include preprocessing, for uint8 RGB images (N, H, W, 3); eval (default): resize, crop and "
                   "normalise; normalise: only normalise images that already have the right size")
      ->expected(0, 1)
      ->default_str("eval")
      ->check(CLI::IsMember({"eval", "normalise"}))
      ->type_name("[eval|normalise]");
  command->add_flag("--softmax", options->softmax, "Output probabilities instead of logits");
  command->add_option("--size", options->size, "Fixed height and width of the input in pixels; default: dynamic")
      ->check(CLI::Range(1, 4096));
  command->footer(
      "Input 'images': float32 (N, 3, H, W), normalised, unless --preprocess is given; N is dynamic. Output 'logits' "
      "or "
      "'probabilities'.\n"
      "The metadata contains the classes, the base and the preprocessing. Included resizing equals Pillow's; all "
      "images "
      "of a batch must have one size.");
  command->callback([options, &status] { status = export_command(*options); });
}

}  // namespace lorikeet::cli
