// lorikeet combine: the weighted sum of several adapters of one base.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <optional>

#include "adapters/combine.h"
#include "base/error.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/progress_bar.h"
#include "export/adapter_card.h"
#include "loading/base_source.h"
#include "loading/loaded_model.h"
#include "loading/resolve_name.h"
#include "report/table.h"

namespace fs = std::filesystem;

namespace lorikeet::cli {
namespace {

struct CombineOptions {
  std::vector<std::string> adapters;
  std::string model;
  std::string how = "linear";
  std::int64_t rank = 8;
  std::string out;
};

// Parses "ADAPTER" or "ADAPTER=WEIGHT".
WeightedAdapter read_part(const std::string& text) {
  WeightedAdapter out{text, 1, {}};
  if (const auto equals = text.rfind('='); equals != std::string::npos && !adapter_path(text)) {
    char* end = nullptr;
    out.name = text.substr(0, equals);
    out.weight = std::strtod(text.c_str() + equals + 1, &end);
    if (end == text.c_str() + equals + 1 || *end != '\0' || !(std::abs(out.weight) <= 1e6)) {
      fail_usage("'", printable(text), "': got no number after '=', expected ADAPTER=WEIGHT, e.g. runs/a=0.5.");
    }
  }
  out.folder = read_adapter(find_adapter(out.name));
  return out;
}

// The base with its weights, where an adapter's file needs them: to be written, or to be read with what it leaves out.
std::optional<BaseModel> load_weights_for(const CombineOptions& options, const std::vector<WeightedAdapter>& parts) {
  const auto is_needed = [](const WeightedAdapter& part) { return part.folder.file.has_value(); };
  if (!has_adapter_file_ending(options.out) && std::none_of(parts.begin(), parts.end(), is_needed)) return std::nullopt;
  const auto recorded = std::find_if(parts.begin(), parts.end(),
                                     [](const WeightedAdapter& part) { return part.folder.metadata.has_value(); });
  if (recorded == parts.end()) return load_base_model({.model = options.model}, download_bar());
  return load_base_of(recorded->folder, recorded->name, {.model = options.model}, download_bar());
}

int combine_command(const CombineOptions& options) {
  std::vector<WeightedAdapter> parts;
  for (const auto& adapter : options.adapters) parts.push_back(read_part(adapter));
  std::vector<fs::path> sources;
  for (const auto& part : parts) sources.push_back(find_adapter(part.name));
  check_new_adapter(options.out, sources);
  std::string model = options.model;
  for (const auto& part : parts) {
    if (model.empty() && part.folder.metadata) model = choice_of_adapter(part.folder, part.name, {}).model;
  }
  if (model.empty()) fail_usage("model: got adapters that do not record their base. Name it with --model.");
  const BaseSource base = find_base(model, download_bar(), /*with_weights=*/false);
  const std::optional<BaseModel> weighted = load_weights_for(options, parts);
  for (auto& part : parts) {
    if (part.folder.file)
      part.folder = read_adapter_over(find_adapter(part.name), {weighted->graph, weighted->weights});
  }
  const Combination how = options.how == "cat"   ? Combination::kCat
                          : options.how == "svd" ? Combination::kSvd
                                                 : Combination::kLinear;
  Combined combined = combine(parts, base.graph, how, options.rank);
  if (auto& metadata = combined.folder.metadata) {
    metadata->precision = Precision::kFloat32;
    metadata->activation_ranges.clear();
    metadata->training = {{"combined", Json::array()}};
    for (const auto& part : parts)
      metadata->training["combined"].push_back(
          {{"adapter", fs::path(part.name).filename().string()}, {"weight", part.weight}});
  }
  const NamedTensors none;
  const std::uint64_t bytes =
      save_adapter(options.out, combined.folder, {base.graph, weighted ? weighted->weights : none});
  Table table({{"layer"}, {"rank", true}, {"error", true}});
  for (const auto& layer : combined.layers)
    table.add({layer.name, std::to_string(layer.rank), fixed(100 * layer.error, 3) + " %"});
  std::printf("%s\n%s: %s, %s\n", table.markdown().c_str(), options.out.c_str(),
              counted(combined.layers.size(), "layer").c_str(), human_bytes(bytes).c_str());
  return 0;
}

}  // namespace

void add_combine(CLI::App& app, int& status) {
  auto* command =
      app.add_subcommand("combine", "Combine several LoRA adapters of one base into one, as a weighted sum");
  auto options = std::make_shared<CombineOptions>();
  command
      ->add_option(
          "adapters", options->adapters,
          "Folders of adapters or runs, or adapters' files, each optionally with =WEIGHT; the default weight is 1")
      ->required()
      ->type_name("ADAPTER[=WEIGHT]");
  command->add_option("--out", options->out, "The new adapter: a folder, or NAME.lorikeet")
      ->required()
      ->type_name("NEW");
  command
      ->add_option("--how", options->how,
                   "linear: the exact sum with the smallest rank; cat: the exact sum, ranks added; svd: the best "
                   "approximation of rank --rank")
      ->check(CLI::IsMember({"linear", "cat", "svd"}))
      ->capture_default_str();
  command->add_option("--rank", options->rank, "Rank for svd")->check(CLI::Range(1, 1 << 16))->capture_default_str();
  command->add_option("--model", options->model, "Name of the base model, if the adapters do not record it")
      ->type_name("NAME");
  command->footer(
      "The error of a layer is the norm of the difference between the new adapter and the exact sum, relative to the "
      "norm of that sum.\n"
      "Fully trained modules and heads are not added: they must be in only one of the adapters, or equal in all.");
  command->callback([options, &status] { status = combine_command(*options); });
}

}  // namespace lorikeet::cli
