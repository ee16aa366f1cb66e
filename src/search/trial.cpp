#include "search/trial.h"

#include <algorithm>
#include <span>

#include "adapters/adapter_file.h"
#include "base/error.h"
#include "base/file.h"
#include "base/text.h"
#include "engine/plan.h"
#include "engine/prefix_cache.h"
#include "engine/tensor_type.h"
#include "loading/adapter_start.h"
#include "loading/inference.h"
#include "train/evaluate.h"
#include "train/train.h"

namespace fs = std::filesystem;

namespace lorikeet {
namespace {

// Runs what is read from a file of each precision.
std::vector<MeasuredForm> measure(const TrainedRun& run, const AdapterFolder& folder, const Recipe& recipe,
                                  const TrialInputs& inputs, const std::shared_ptr<const Dataset>& images,
                                  const EvaluateCallback& progress) {
  const std::string where = "search";
  Network& network = run.network;
  const NamedTensors learned = copied(network.adapter_tensors());
  const NamedTensors start = start_tensors(run.adaptation, run.base.weights);
  const Precision precision = folder.metadata->precision;
  const bool is_int8 = precision == Precision::kInt8;
  const std::int64_t batch = evaluation_batch(network.graph(), *images, run.data.preprocessing);
  std::unique_ptr<Executor> executor;
  std::unique_ptr<PrefixCache> cache;
  std::vector<MeasuredForm> out;
  for (const FilePrecision form : inputs.plan.precisions) {
    const EncodedAdapter file = encode_adapter(folder, run.adaptation, start, {.bits = stored_bits(form)});
    AdapterFolder read = read_adapter_file(InputFile(where, std::as_bytes(std::span<const char>(file.bytes))));
    decode_tensors(read, run.adaptation, where);
    complete_tensors(read, start);
    network.load_adapter_tensors(read.tensors);
    if (!executor || is_int8) {  // int8 rounds the merged weights
      executor = make_inference_executor(network, {.precision = precision,
                                                   .activation_ranges = &folder.metadata->activation_ranges,
                                                   .prepared = run.base.prepared});
      if (inputs.open_cache && !is_int8)
        cache = inputs.open_cache(
            {network.graph(), executor->plan(), cat("validation-", images->size()), images->size(), batch});
    }
    const EvaluationResult found = evaluate(*executor, images, run.data.preprocessing,
                                            {.device = tensor_device(recipe.machine.device),
                                             .cache = cache.get(),
                                             .batch_size = batch,
                                             .progress = progress});
    if (found.total != images->size()) break;  // stopped
    out.push_back({form, file.bytes.size(), found.correct});
  }
  network.load_adapter_tensors(learned);
  return out;
}

}  // namespace

Recipe trial_recipe(const SearchPlan& plan, std::size_t number, std::size_t stage) {
  std::vector<std::string> overrides = plan.candidates[number].overrides();
  overrides.push_back(cat("max_steps=", plan.stages[stage]));
  return parse_recipe(plan.recipe, "search.json", overrides);
}

std::optional<StageResult> run_stage(const TrialInputs& inputs, std::size_t number, std::size_t stage,
                                     const TrainCallback& progress) {
  Recipe recipe = trial_recipe(inputs.plan, number, stage);
  recipe.run = inputs.folder.run(number);
  StageResult out;
  bool is_stopped = false, has_begun = false;
  const auto trained = [&](const TrainedRun& run) {
    has_begun = true;
    const auto go_on = [&](std::int64_t done, std::int64_t total) {
      is_stopped = progress && !progress({.phase = "validate", .done = done, .total = total});
      return !is_stopped;
    };
    const bool is_last = stage + 1 == inputs.plan.stages.size();
    const auto& images = is_last ? inputs.validation : inputs.some_validation;
    out.images = images->size();
    const BaseView base{run.base.graph, run.base.weights};
    const fs::path file = inputs.folder.adapter_file(number, stage);
    write_adapter_file(file, run.folder, base, {.bits = kFloat32Bits});
    // As write_trial_adapter reads it, so that a form has the bytes that were measured.
    out.forms = measure(run, read_adapter_over(file, base), recipe, inputs, images, go_on);
  };
  const TrainCallbacks callbacks{.progress = [&](const TrainProgress& now) {
    has_begun = true;
    return !progress || progress(now);
  }};
  RunStart start{.replace = true,
                 .data = inputs.data,
                 .base = inputs.base,
                 .open_cache = inputs.open_cache,
                 .trained = trained,
                 .resume_command = cat("lorikeet search --resume ", printable(inputs.folder.path().string()))};
  std::optional<TrainSummary> resumed;
  if (fs::exists(recipe.run / "recipe.yaml")) {
    try {
      resumed = resume(recipe.run, {cat("max_steps=", recipe.loop.max_steps)}, callbacks, start);
    } catch (const Error&) {
      if (has_begun) throw;
      // The run is damaged, or does not fit the results: its steps are made again.
    }
  }
  const TrainSummary summary = resumed ? *std::move(resumed) : train(recipe, callbacks, std::move(start));
  if (summary.interrupted || is_stopped) return std::nullopt;
  out.steps = summary.loop.steps;
  out.seconds = summary.loop.seconds;
  return out;
}

void write_trial_adapter(const TrialInputs& inputs, std::size_t number, std::size_t stage, FilePrecision precision,
                         const fs::path& path) {
  const BaseView base{inputs.base->graph, inputs.base->weights};
  const AdapterFolder folder = read_adapter_over(inputs.folder.adapter_file(number, stage), base);
  write_adapter_file(path, folder, base, {.bits = stored_bits(precision)});
}

}  // namespace lorikeet
