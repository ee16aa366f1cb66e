#include "train/train.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <chrono>
#include <exception>
#include <functional>

#include "adapters/adapter_folder.h"
#include "adapters/matching.h"
#include "base/available_memory.h"
#include "base/compute.h"
#include "base/error.h"
#include "base/file.h"
#include "base/text.h"
#include "data/datasets.h"
#include "data/fingerprint.h"
#include "engine/int8.h"
#include "engine/tensor_type.h"
#include "engine/threads.h"
#include "export/adapter_card.h"
#include "loading/adapter_names.h"
#include "loading/adapter_start.h"
#include "loading/inference.h"
#include "loading/loaded_model.h"
#include "loading/resolve_name.h"
#include "train/caching.h"
#include "train/checkpoint.h"
#include "train/footprint.h"
#include "train/metrics.h"
#include "train/metrics_files.h"
#include "train/out_of_memory.h"
#include "train/resume.h"
#include "train/run_folder.h"
#include "train/run_loop.h"
#include "train/run_report.h"
#include "train/start_from.h"
#include "train/training_data.h"
#include "train/training_executor.h"
#include "train/tuning.h"

namespace fs = std::filesystem;

namespace lorikeet {
namespace {

// Without a head or a replaced output, the network's own outputs must equal the classes.
void check_classes(const Recipe& recipe, const AdaptationOptions& adapter, const Graph& base, const Dataset& data) {
  const auto classes = static_cast<std::int64_t>(data.classes().size());
  const std::int64_t outputs = output_features(base);
  if (adapter.head || adapter.replace_output || outputs == classes) return;
  fail_usage("data: got ", counted(classes, "class"), " in ", recipe.data.name, ", expected ", outputs,
             ", the outputs of ", recipe.model, ". Set head: new, that is replace_output: true with modules_to_save: [",
             base.node(base.output()).name, "], or add a head.");
}

// Leaves no files of a run that fails before its first adapter, for example because of a damaged image.
struct DiscardOnFailure {
  RunFolder& run;
  int exceptions = std::uncaught_exceptions();
  ~DiscardOnFailure() {
    if (std::uncaught_exceptions() > exceptions && !run.has_checkpoint()) run.discard();
  }
};

// Files for people and other programs. If one cannot be written, the run goes on: its adapter matters more.
class SideFiles {
 public:
  SideFiles(const fs::path& run, LogCallback log) : run_(run), events_(run), log_(std::move(log)) {}

  /// Follows metrics.jsonl.
  void update() {
    if (has_events_) has_events_ = attempt("no TensorBoard events", [&] { events_.update(); });
  }
  void finish(const ReportedRun& run) {
    const EvaluationResult& test = run.summary.test;
    update();
    attempt("no TensorBoard events", [&] {
      if (!has_events_ || test.total == 0) return;
      events_.add({{run.split + "/final_accuracy", test.accuracy()},
                   {run.split + "/final_loss", test.loss},
                   {run.split + "/final_macro_f1", metric(test, Metric::kMacroF1)}});
    });
    attempt("no CSV files", [&] { write_metrics_csv(run_); });
    attempt("no report", [&] { write_file(run_ / "report.html", run_page_html(make_run_page(run))); });
  }

 private:
  // Returns whether it succeeded.
  bool attempt(const char* lost, const std::function<void()>& write) {
    try {
      write();
      return true;
    } catch (const Error& error) {
      log_(cat(lost, ": ", error.what()));
      return false;
    }
  }

  fs::path run_;
  EventLog events_;
  LogCallback log_;
  bool has_events_ = true;
};

std::uint64_t folder_bytes(const fs::path& path) {
  std::uint64_t total = 0;
  for (const auto& entry : fs::directory_iterator(path)) total += entry.file_size();
  return total;
}

// How a run begins.
struct Beginning : RunStart {
  /// Of a continued run; null for a new one.
  RunFolder* run = nullptr;
  std::optional<Checkpoint> checkpoint = {};
};

// Throws Error if the base or the training images are not those of the checkpoint.
void require_same_inputs(const Checkpoint& checkpoint, const std::string& base_sha256, const std::string& data,
                         const Recipe& recipe) {
  if (checkpoint.base_sha256 != base_sha256) {
    fail(recipe.weights.empty() ? recipe.model : recipe.weights,
         ": got other weights than those of the run, expected the same. Set weights=FILE if the file was moved.");
  }
  if (checkpoint.data != data) {
    fail(recipe.data.name,
         ": got other training images than those of the run, expected the same. Set data=FOLDER if they were moved, or "
         "train a new run with start_from.");
  }
}

// Says how to go on after a failure, if that is possible. `continued`: the run had a checkpoint when it began.
std::string with_resume_hint(const char* message, const RunFolder& run, bool continued, const std::string& command) {
  if (std::error_code ignored; !fs::exists(run.path(), ignored)) return message;  // it was deleted
  if (!command.empty()) return cat(message, " Continue with '", command, "'.");
  if (!continued && !run.has_checkpoint()) return message;
  return cat(message, " The last checkpoint is kept: continue with 'lorikeet train --resume ",
             printable(run.path().string()), "'.");
}

TrainSummary run_recipe(const Recipe& recipe, const TrainCallbacks& callbacks, Beginning beginning) {
  const auto started = std::chrono::steady_clock::now();
  check_device(recipe.machine.device);
  const BaseModel base =
      beginning.base ? *beginning.base : load_base_model({recipe.model, recipe.weights}, callbacks.download);
  const BaseView base_view{base.graph, base.weights};
  const Splits splits = beginning.data ? beginning.data->opened
                                       : open_dataset(recipe.data.name, callbacks.download, open_options(recipe.data));
  const Preprocessing preprocessing = data_preprocessing(recipe.data, base.preprocessing);
  Splits used = beginning.data ? beginning.data->used : split_data(recipe, splits);
  AdaptationOptions adapter = recipe.adapter;
  const std::vector<std::string> tuning_notes = resolve_tuning(adapter, base.graph);
  check_classes(recipe, adapter, base.graph, *used.train);
  const Splits data =
      beginning.data ? std::move(used) : with_bad_images(recipe.data.bad_images, std::move(used), callbacks.progress);
  AdapterFolder folder;
  folder.spec = adapter.spec(static_cast<std::int64_t>(data.train->classes().size()));
  folder.spec.config.base_model_name_or_path = base.entry->name;
  const std::vector<std::string> target_notes = resolve_targets(folder.spec.config, *base.entry, base.graph);
  const Adaptation adaptation = adapt(base.graph, folder.spec);
  const auto available = recipe.machine.device == Device::kCpu ? available_memory() : std::nullopt;
  if (available) require_learned_memory(adaptation, kTrainingCopies, *available);
  Network network(adaptation, base.weights, recipe.loop.seed);
  if (!recipe.adapter.start_from.empty()) start_from(recipe.adapter.start_from, base_view, adaptation, network);

  const bool is_int8 = recipe.machine.precision == Precision::kInt8;
  if (is_int8) network.merged();  // throws if the adapter cannot be merged, which int8 requires after training

  const ThreadCount threads(recipe.machine.threads);
  network.to(tensor_device(recipe.machine.device));

  const std::uint64_t dataset_bytes = memory_bytes(splits);
  TrainingOptions options = recipe;
  options.machine.cache_folder = recipe.run;
  std::optional<Checkpoint>& from = beginning.checkpoint;
  const std::string fingerprint = content_fingerprint({data.train, data.validation});
  if (from) {
    require_same_inputs(*from, base.sha256.get(), fingerprint, recipe);
    adapt_state(from->state, {parse_recipe(from->recipe, beginning.run->checkpoints(), {}), recipe, network,
                              preprocessing, data.train->size()});
    if (from->state.stopped_early) {
      beginning.notes.emplace_back("nothing to train: early_stop ended the run; early_stop=0 continues it");
    } else if (from->state.step == from->state.total_steps && from->state.batch == 0) {
      beginning.notes.emplace_back("nothing to train: the run is complete; epochs=N extends it");
    }
  }
  const Plan plan = from ? from->state.plan
                         : plan_training(network, options, preprocessing, data.train->size(),
                                         data.validation ? data.validation->size() : 0);
  const PlannedRun planned{network, plan, options, preprocessing, data, dataset_bytes};
  require_memory(planned);

  std::optional<RunFolder> made;
  if (beginning.run == nullptr) made.emplace(recipe.run, beginning.replace);
  RunFolder& run = made ? *made : *beginning.run;
  std::optional<DiscardOnFailure> discard;
  if (made) discard.emplace(run);
  options.machine.cache_folder = run.path();
  const LoopData loop_data{data.train, data.validation, preprocessing};
  const ExecutorOptions executor_options{
      .precision = activation_type(recipe.machine.precision), .plan = plan, .prepared = base.prepared};
  auto executor = from && is_int8 ? make_int8_executor(network, executor_options, from->state.activation_ranges)
                                  : make_training_executor(network, recipe.machine, executor_options, loop_data);

  const std::string yaml = recipe_yaml(recipe);
  run.write_recipe(yaml);
  run.truncate_metrics(from ? from->metrics_bytes : 0);
  TrainSummary out;
  out.recipe = recipe;
  out.adapter = run.adapter();
  out.classes = data.train->classes();
  out.trainable_parameters = count_trainable(adaptation);
  for (const auto& parameter : adaptation.graph.parameters()) {
    out.whole_model_bytes += static_cast<std::uint64_t>(parameter.count()) * sizeof(float);
    if (!parameter.buffer) out.total_parameters += parameter.count();
  }

  const auto log = [&](const std::string& line) {
    run.add_log(line);
    if (callbacks.log) callbacks.log(line);
  };
  const bool has_one_name = base.weights_name == base.entry->name;
  log(cat(base.entry->name, has_one_name ? "" : cat(" (", base.weights_name, ")"), ": ",
          with_commas(out.trainable_parameters), " of ", counted(out.total_parameters, "parameter"), " trainable; ",
          counted(data.train->size(), "image"), " of ", counted(data.train->classes().size(), "class"), " in ",
          recipe.data.name, "; images of ",
          preprocessing.crop > 0 ? cat(preprocessing.crop, " pixels") : "their own size", "; ",
          counted(at::get_num_threads(), "thread"), "; about ",
          human_bytes(run_memory(planned, recipe.loop.batch_size).total()), " of memory"));

  std::vector<std::string> notes;  // for the report
  const auto note = [&](const std::string& line) {
    notes.push_back(line);
    log(line);
  };
  for (const auto& lines : {beginning.notes, tuning_notes, target_notes, data.notes, base.notes}) {
    for (const std::string& line : lines) note(line);
  }
  if (const auto oversized = oversized_adapters(adaptation); !oversized.empty()) {
    const Oversized& first = oversized.front();
    note(cat(counted(oversized.size(), "layer"), oversized.size() == 1 ? " has" : " have",
             " an adapter larger than the layer: ", first.name, " ", counted(first.adapter, "parameter"), " for ",
             with_commas(first.layer), "; a smaller rank or modules_to_save needs fewer"));
  }

  if (!folder.spec.config.has_targets() && folder.spec.config.bias == TrainedBias::kNone) {
    std::vector<std::string> trained;
    for (const auto* nodes : {&adaptation.retrained, &adaptation.head}) {
      for (const NodeId id : *nodes) trained.push_back(adaptation.graph.node(id).name);
    }
    note(cat("no target_modules: no layer gets ", name_of(folder.spec.config.peft_type), ", only ", join(trained, ", "),
             trained.size() == 1 ? " is" : " are", " trained"));
  }

  folder.metadata = AdapterMetadata{base.entry->name,   base.weights_name,
                                    /*base_sha256=*/"", data.train->classes(),
                                    preprocessing,      is_int8 ? Precision::kFloat32 : recipe.machine.precision};
  // Written at every checkpoint, so that the adapter of a killed run records its data.
  Json& training = folder.metadata->training;
  training = {{"data", recipe.data.name},
              {"images", data.train->size()},
              {"seed", recipe.loop.seed},
              {"trainable_parameters", out.trainable_parameters}};
  if (recipe.data.validation > 0) {
    training[kHeldOutKey] = recipe.data.validation;
    if (!recipe.loop.shuffle) training[kShuffleKey] = false;
  }
  if (recipe.data.bad_images == BadImages::kSkip) training[kBadImagesKey] = kSkipBadImages;
  if (splits.whole) training["split"] = split_record(split_options(recipe.data), splits.whole);
  SideFiles side_files(run.path(), log);
  const auto write_adapter = [&](const fs::path& path) {
    folder.metadata->base_sha256 = base.sha256.get();  // waits for the hash
    SavedAdapter saved = network.saved_adapter();
    folder.spec.config = std::move(saved.config);
    folder.tensors = std::move(saved.tensors);
    folder.for_peft = std::move(saved.for_peft);
    write_adapter_with_card(path, folder);
  };
  const auto log_epoch = [&](const EpochProgress& epoch, const std::string& line) {
    if (!callbacks.epoch) return log(line);
    run.add_log(line);
    callbacks.epoch(epoch);
  };
  const auto& judged = data.test ? data.test : data.validation;
  const auto start_over = [&] {
    Network fresh(adaptation, base.weights, recipe.loop.seed);
    if (!recipe.adapter.start_from.empty()) start_from(recipe.adapter.start_from, base_view, adaptation, fresh);
    network.load_state_tensors(fresh.state_tensors());
  };
  const auto judge = [&](Executor& judged_executor) {
    EvaluationResult result =
        evaluate(judged_executor, judged, preprocessing,
                 {.device = tensor_device(recipe.machine.device),
                  .batch_size = evaluation_batch(network.graph(), *judged, preprocessing),
                  .progress = [&](std::int64_t done, std::int64_t total) {
                    out.interrupted = callbacks.progress && !callbacks.progress({.phase = "test",
                                                                                 .epoch = out.loop.epochs,
                                                                                 .epochs = out.loop.epochs,
                                                                                 .done = done,
                                                                                 .total = total,
                                                                                 .loss = out.loop.loss,
                                                                                 .accuracy = out.loop.accuracy});
                    return !out.interrupted;
                  }});
    return out.interrupted ? EvaluationResult{} : result;
  };
  const auto with_hints = [&](const auto& work) {
    try {
      try {
        work();
      } catch (const Error&) {
        throw;
      } catch (...) {
        rethrow_out_of_memory(planned);
      }
    } catch (const UsageError&) {
      throw;
    } catch (const Error& error) {
      throw Error(with_resume_hint(error.what(), run, from.has_value(), beginning.resume_command));
    }
  };
  with_hints([&] {
    out.loop = run_with_checkpoints({.network = network,
                                     .executor = *executor,
                                     .data = loop_data,
                                     .options = options,
                                     .run = run,
                                     .start_over = start_over,
                                     .write_adapter = write_adapter,
                                     .identity =
                                         [&] {
                                           return Checkpoint{{}, yaml, base.sha256.get(), fingerprint};
                                         },
                                     .started = started,
                                     .test_images = judged ? judged->size() : 0,
                                     .open_cache = beginning.open_cache,
                                     .progress = callbacks.progress,
                                     .epoch = log_epoch,
                                     .log = log,
                                     .metrics_changed = [&] { side_files.update(); }},
                                    from);
  });
  with_hints([&] {
    out.interrupted = out.loop.interrupted;
    if (out.loop.kept_epoch < out.loop.epochs) {
      log(cat("kept epoch ", out.loop.kept_epoch, ", the best by validation ", title_of(recipe.loop.best)));
    }

    if (is_int8 && !out.interrupted) {
      executor.reset();
      base.prepared->release_unused();  // what only training used
      folder.metadata->precision = recipe.machine.precision;
      folder.metadata->activation_ranges = merged_ranges(network, loop_data, base.prepared);
    }
    out.test_split = data.test ? "test" : "validation";
    if (judged && !out.interrupted && !beginning.trained) {
      // Runs as a loaded adapter does, which must reach exactly this accuracy.
      if (is_int8 || recipe.machine.engine != EngineKind::kFused) {
        executor = make_inference_executor(network, {.precision = folder.metadata->precision,
                                                     .activation_ranges = &folder.metadata->activation_ranges,
                                                     .prepared = base.prepared});
        base.prepared->release_unused();  // those that only training used
      }
      out.test = judge(*executor);
    }

    training["epochs"] = out.loop.epochs;
    training["steps"] = out.loop.steps;
    if (out.test.total > 0) {
      Json& result = training[out.test_split] = evaluation_json(out.test);
      result.erase("seconds");  // the rest is the same for each run of a recipe
    }
    run.checkpoint(write_adapter);
    if (beginning.trained && !out.interrupted) beginning.trained({network, adaptation, folder, base, loop_data});
    out.adapter_bytes = adapter_file_bytes(out.adapter);
    out.adapter_folder_bytes = folder_bytes(out.adapter);
    out.adapter_file_bytes =
        write_adapter_file(run.adapter_file(), folder, base_view, {.bits = stored_bits(recipe.file_precision)})
            .bytes.size();
    if (out.test.total > 0 && recipe.file_precision != FilePrecision::kFloat32) {
      LoadedModel rounded = adapt_base(base, run.adapter_file());
      rounded.network.to(tensor_device(recipe.machine.device));
      out.file_test = judge(*make_inference_executor(rounded));
    }
    run.write_summary(summary_json(out, recipe));
    side_files.finish({.recipe = recipe,
                       .summary = out,
                       .adaptation = adaptation,
                       .plan = plan,
                       .weights = base.weights_name,
                       .preprocessing = preprocessing,
                       .evaluated = judged,
                       .split = out.test_split,
                       .notes = std::move(notes),
                       .metrics = run.path() / "metrics.jsonl"});
    if (out.test.total > 0) {
      log(cat(out.test_split, " accuracy ", fixed(out.test.accuracy(), 4), " (", out.test.correct, " of ",
              out.test.total, ")"));
    }
    if (out.file_test.total > 0) {
      log(cat(out.test_split, " accuracy of adapter.lorikeet in ", name_of(recipe.file_precision), " ",
              fixed(out.file_test.accuracy(), 4), " (", out.file_test.correct, " of ", out.file_test.total, ")"));
    }
  });
  return out;
}

}  // namespace

TrainSummary train(const Recipe& requested, const TrainCallbacks& callbacks, bool replace) {
  return train(requested, callbacks, RunStart{.replace = replace});
}

TrainSummary train(const Recipe& requested, const TrainCallbacks& callbacks, RunStart start) {
  requested.check();
  const Recipe recipe = with_absolute_paths(resolved(requested));
  std::error_code none;
  if (fs::equivalent(recipe.run, recipe.data.name, none)) {
    fail_usage("run: got ", printable(recipe.run.string()),
               ", the folder of the images, expected another one. The run's files would look like classes.");
  }
  // The recipe is checked completely before the run folder is changed.
  if (is_run_folder(recipe.run) && !start.replace) RunFolder(recipe.run, /*replace=*/false);
  return run_recipe(recipe, callbacks, {std::move(start)});
}

TrainSummary resume(const fs::path& path, const std::vector<std::string>& overrides, const TrainCallbacks& callbacks,
                    RunStart start) {
  if (std::error_code missing; !fs::is_directory(path, missing))
    fail_usage(printable(path.string()), ": got no folder, expected that of a run.");
  RunFolder run(path, RunFolder::Existing{});
  Beginning beginning{std::move(start), &run};
  beginning.checkpoint = read_last_checkpoint(run.checkpoints(), beginning.notes);
  Recipe recipe = load_recipe(run.recipe(), overrides);
  if (!recipe.run.empty())
    fail_usage("run: got ", printable(recipe.run.string()), ", expected no such override with --resume.");
  recipe.run = run.path();
  recipe = with_absolute_paths(recipe);
  require_resumable(beginning.checkpoint ? parse_recipe(beginning.checkpoint->recipe, run.checkpoints(), {})
                                         : load_recipe(run.recipe(), {}),
                    recipe);
  beginning.notes.push_back(
      beginning.checkpoint ? cat("continuing after step ", beginning.checkpoint->state.step, ", in epoch ",
                                 beginning.checkpoint->state.epoch + (beginning.checkpoint->state.batch > 0 ? 1 : 0))
                           : "no checkpoint: training again from the start");
  return run_recipe(recipe, callbacks, std::move(beginning));
}

Json summary_json(const TrainSummary& summary, const Recipe& recipe) {
  const TrainReport& loop = summary.loop;
  Json out{{"status", summary.interrupted ? "interrupted" : "finished"},
           {"model", recipe.model},
           {"data", recipe.data.name},
           {"trainable_parameters", summary.trainable_parameters},
           {"total_parameters", summary.total_parameters},
           {"adapter_bytes", summary.adapter_bytes},
           {"adapter_folder_bytes", summary.adapter_folder_bytes},
           {"adapter_file_bytes", summary.adapter_file_bytes},
           {"whole_model_bytes", summary.whole_model_bytes},
           {"steps", loop.steps},
           {"epochs", loop.epochs},
           {"kept_epoch", loop.kept_epoch},
           {"train_seconds", loop.seconds},
           {"images_per_second", loop.images_per_second()},
           {"data_wait_seconds", loop.data_wait_seconds},
           {"cached_prefix", loop.cached_prefix},
           {"train_loss", loop.loss},
           {"train_accuracy", loop.accuracy}};
  if (loop.validation.total > 0) out["validation"] = evaluation_json(loop.validation);
  if (summary.test.total > 0) {
    out["test"] = metrics_json(summary.test, summary.classes, kSummaryClasses);
    out["test_split"] = summary.test_split;
  }
  if (summary.file_test.total > 0) out["adapter_file_test"] = evaluation_json(summary.file_test);
  out["adapter"] = summary.adapter.string();
  return out;
}

}  // namespace lorikeet
