// lorikeet compress: the smallest file of an adapter within a loss of accuracy.
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/progress_bar.h"
#include "loading/resolve_name.h"
#include "report/table.h"
#include "train/compress.h"
#include "train/training_data.h"

namespace fs = std::filesystem;

namespace lorikeet::cli {
namespace {

struct CompressCommandOptions {
  std::string adapter;
  std::string model;
  std::string weights;
  std::vector<std::string> settings;
  std::string out;
  double max_loss = 0.1;
  std::int64_t limit = 0;
  bool force = false;
  bool json = false;
};

constexpr double kPoints = 100;

// RUN/compressed.lorikeet, or NAME-compressed.lorikeet beside another adapter.
fs::path default_out(const fs::path& named, const fs::path& adapter) {
  const fs::path given = without_trailing_slash(named);
  if (adapter != named) return given / (std::string("compressed") + kAdapterFileEnding);
  return given.parent_path() / (given.stem().string() + "-compressed" + kAdapterFileEnding);
}

std::string accuracy_text(std::int64_t correct, std::int64_t images) {
  return fixed(static_cast<double>(correct) / static_cast<double>(std::max<std::int64_t>(1, images)), 4);
}

void print_result(const CompressedAdapter& found, const fs::path& out) {
  Table table({{"form"}, {"bytes", true}, {"accuracy", true}, {"loss in points", true}, {"within the limit"}});
  const auto images = static_cast<double>(std::max<std::int64_t>(1, found.images));
  for (const TriedForm& form : found.tried) {
    table.add({form.name, with_commas(form.bytes), accuracy_text(form.correct, found.images),
               fixed(kPoints * static_cast<double>(found.correct_before - form.correct) / images, 2),
               form.is_within_loss ? "yes" : "no"});
  }
  std::printf("%s\n%s: %s bytes, %s\n", table.markdown().c_str(), out.string().c_str(),
              with_commas(found.best.bytes.size()).c_str(), found.best_name.c_str());
  std::printf("accuracy %s on %s %s images, %s before; 95%% interval of the change %s to %s points\n",
              accuracy_text(found.correct_after, found.images).c_str(), with_commas(found.images).c_str(),
              found.split.c_str(), accuracy_text(found.correct_before, found.images).c_str(),
              fixed(kPoints * found.change_low, 2).c_str(), fixed(kPoints * found.change_high, 2).c_str());
}

Json result_json(const CompressedAdapter& found, const fs::path& out) {
  Json tried = Json::array();
  for (const TriedForm& form : found.tried)
    tried.push_back(
        {{"form", form.name}, {"bytes", form.bytes}, {"correct", form.correct}, {"within_limit", form.is_within_loss}});
  return {{"file", out.string()},
          {"form", found.best_name},
          {"bytes", found.best.bytes.size()},
          {"split", found.split},
          {"images", found.images},
          {"correct_before", found.correct_before},
          {"correct", found.correct_after},
          {"change_interval", {found.change_low, found.change_high}},
          {"tried", tried}};
}

int compress_command(const CompressCommandOptions& options) {
  CompressOptions compress{.max_loss = options.max_loss / kPoints,
                           .data = "",
                           .limit = options.limit,
                           .progress =
                               [](std::int64_t done, std::int64_t total) {
                                 show_progress("compress", done, total);
                                 return true;
                               },
                           .download = download_bar(),
                           .log = print_note};
  for (const auto& setting : options.settings) {
    if (setting.rfind("data=", 0) != 0)
      fail_usage("'", printable(setting), "': got an unknown setting, expected data=NAME or data=FOLDER.");
    compress.data = setting.substr(5);
  }
  const fs::path adapter = find_adapter(options.adapter);
  const fs::path out = options.out.empty() ? default_out(options.adapter, adapter) : fs::path(options.out);
  if (!has_adapter_file_ending(out))
    fail_usage(printable(out.string()), ": got the ending '", printable(out.extension().string()), "', expected ",
               kAdapterFileEnding, ".");
  check_adapter_file_destination(out, {adapter});
  LoadedModel model = load_adapter(adapter, {options.model, options.weights, options.force}, download_bar());
  find_recorded_data(*model.adapter, adapter);
  std::for_each(model.notes.begin(), model.notes.end(), print_note);
  const CompressedAdapter found = compress_adapter(model, compress);
  show_status("");
  write_file(out, found.best.bytes);
  if (options.json) {
    std::printf("%s\n", json_text(result_json(found, out), 2).c_str());
  } else {
    print_result(found, out);
  }
  if (-kPoints * found.change_low > options.max_loss)
    print_note(cat("the images cannot exclude a loss of more than ", fixed(options.max_loss, 2),
                   " points: the interval reaches to ", fixed(-kPoints * found.change_low, 2),
                   ". More images make it narrower"));
  return 0;
}

}  // namespace

void add_compress(CLI::App& app, int& status) {
  auto* command =
      app.add_subcommand("compress", "Find the smallest file of an adapter within a loss of validation accuracy");
  auto options = std::make_shared<CompressCommandOptions>();
  command->add_option("adapter", options->adapter, kAnyAdapter)->required()->type_name("ADAPTER");
  command->add_option("settings", options->settings,
                      "data=NAME or data=FOLDER; by default what the adapter was trained on");
  command->add_option("--max-loss", options->max_loss, "Largest loss of accuracy in percentage points")
      ->check(number_in_range(0, 100))
      ->capture_default_str();
  command
      ->add_option("-o,--out", options->out,
                   "The new file, NAME.lorikeet; default: RUN/compressed.lorikeet or ADAPTER-compressed.lorikeet")
      ->type_name("FILE");
  command
      ->add_option("--limit", options->limit,
                   "Use only N images, of each class in proportion, always the same ones; 0: all")
      ->check(at_least(0));
  command->add_option("--model", options->model, "Base model, if the adapter does not record where it is")
      ->type_name("NAME");
  command->add_option("--weights", options->weights, "File with its weights")->type_name("FILE");
  command->add_flag("--force", options->force, "Accept base weights other than those the adapter was trained on");
  command->add_flag("--json", options->json, "Print one JSON document on standard output");
  command->footer(
      "Finds the lowest precision of all tensors alike (bfloat16, or levels of 8 to 2 bits), then lowers that of one "
      "group of\ntensors after another: those of the same name in all layers (lora_A.weight), one matrix of a module "
      "(fc.weight), or\n'vectors', the biases and other tensors of one dimension. The table has each form once, in the "
      "order in which they were\ntried, with the size of the file, its accuracy, the loss compared with the first row, "
      "and whether that is within\n--max-loss. The first row is a file as it is, or a folder in float32.\n"
      "The accuracy is that on validation images: the data's val split, or the images that training held out "
      "(validation: N);\ntraining images, with a note, where there are none. Test images are never used. What is "
      "frozen before the adapter runs\nonce.");
  command->callback([options, &status] { status = compress_command(*options); });
}

}  // namespace lorikeet::cli
