#include "lorikeet/model.h"

#include <ATen/Functions.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cstring>
#include <span>

#include "adapters/adapter_folder.h"
#include "adapters/matching.h"
#include "api/batches.h"
#include "api/guesses.h"
#include "base/error.h"
#include "base/text.h"
#include "data/datasets.h"
#include "engine/executor.h"
#include "engine/tensor_type.h"
#include "export/adapter_card.h"
#include "export/onnx_export.h"
#include "export/state_dict.h"
#include "image/decode.h"
#include "image/transform.h"
#include "io/safetensors.h"
#include "io/weights_file.h"
#include "loading/inference.h"
#include "loading/loaded_model.h"
#include "lorikeet/version.h"
#include "train/evaluate.h"
#include "train/loop.h"

namespace fs = std::filesystem;

namespace lorikeet {
namespace {

constexpr std::size_t kPredictBatch = 16;

Preprocessing chosen(const Preprocessing& own, Preprocess preprocess) {
  Preprocessing out = own;
  if (preprocess == Preprocess::kNormalise) out.resize = out.crop = 0;
  return out;
}

// By way of PEFT's own object, so that names are checked as those in a file are.
AdapterConfig adapter_config(const AdapterOptions& options, const std::string& base) {
  Json json{{"peft_type", options.peft_type}, {"bias", options.bias}, {"init_lora_weights", options.init_lora_weights}};
  if (options.init_lora_weights == "default") json["init_lora_weights"] = true;
  if (options.peft_type != "LORA" && (options.bias != "none" || options.init_lora_weights != "default")) {
    fail_usage("adapt: got bias or init_lora_weights with peft_type ", printable(options.peft_type),
               ", expected them with LORA only.");
  }
  try {
    AdapterConfig config = parse_adapter_config(json, "adapt");
    config.other = Json::object();
    config.r = options.r;
    config.lora_alpha = options.lora_alpha;
    config.lora_dropout = options.lora_dropout;
    config.use_dora = options.use_dora;
    config.use_rslora = options.use_rslora;
    if (options.target_modules.size() == 1) config.target_modules = options.target_modules.front();
    if (options.target_modules.size() > 1) config.target_modules = options.target_modules;
    config.modules_to_save = options.modules_to_save;
    config.base_model_name_or_path = base;
    check_adapter_config(config, "adapt");
    return config;
  } catch (const Error& error) {
    throw UsageError(error.what());  // the call is wrong; there is no file
  }
}

}  // namespace

struct Model::State {
  LoadedModel loaded;
  std::unique_ptr<Executor> executor;  // made when it is first needed

  Executor& run() {
    if (!executor) executor = make_inference_executor(loaded);
    return *executor;
  }

  // What learns runs in float32; the scales of int8 do not hold any more.
  void leave_int8() {
    if (loaded.precision != Precision::kInt8) return;
    executor.reset();
    loaded.precision = loaded.adapter->metadata->precision = Precision::kFloat32;
    loaded.adapter->metadata->activation_ranges.clear();
  }
};

Model::Model(std::unique_ptr<State> state) : state_(std::move(state)) {}
Model::Model(Model&&) noexcept = default;
Model& Model::operator=(Model&&) noexcept = default;
Model::~Model() = default;

Model load(const std::string& name, const LoadOptions& options) {
  LoadedModel loaded = load_model(name, {options.model, options.weights, options.force}, options.progress);
  if (options.log) std::for_each(loaded.notes.begin(), loaded.notes.end(), options.log);
  return Model(std::make_unique<Model::State>(Model::State{std::move(loaded), nullptr}));
}

const std::string& Model::name() const { return state_->loaded.model_name; }

const std::vector<std::string>& Model::classes() const { return state_->loaded.classes; }

bool Model::is_adapted() const { return state_->loaded.adapter.has_value(); }

std::int64_t Model::trainable_parameters() const {
  std::int64_t total = 0;
  for (const auto& [name, tensor] : state_->loaded.network.trainable()) total += tensor.numel();
  return total;
}

std::string Model::trained_on() const {
  const auto& adapter = state_->loaded.adapter;
  if (!adapter || !adapter->metadata) return "";
  const Json& training = adapter->metadata->training;
  const auto data = training.find("data");
  return data != training.end() && data->is_string() ? data->get<std::string>() : "";
}

void Model::adapt(const AdapterOptions& options) {
  LoadedModel& loaded = state_->loaded;
  for (const auto& name : options.classes) {
    if (!is_utf8(name)) fail_usage("classes: got '", printable(name), "', which is not UTF-8, expected UTF-8.");
  }
  if (loaded.adapter) fail_usage("adapt: got a model that is adapted already, expected a base model. Load it again.");
  const ModelEntry& entry = find_model(loaded.model_name);
  const auto classes = static_cast<std::int64_t>(options.classes.size());
  AdapterSpec spec{adapter_config(options, entry.name), std::nullopt, std::nullopt};
  if (options.replace_output) spec.output_classes = classes;
  if (options.head) spec.head = Head{*options.head, classes};
  const Graph graph = entry.build();
  check_every_entry_matches(graph, spec.config);
  const Adaptation adaptation = lorikeet::adapt(graph, spec);
  const std::int64_t outputs = output_features(adaptation.graph);
  if (outputs != classes) {
    fail_usage("adapt: got ", classes, " classes, expected ", outputs, ", the outputs of ", entry.name,
               ". Set replace_output or a head.");
  }
  const NamedTensors base = loaded.network.merged();
  loaded.network = Network(adaptation, base, options.seed);
  loaded.classes = options.classes;
  loaded.adapter = AdapterFolder{spec,
                                 AdapterMetadata{entry.name, loaded.weights_name, loaded.base_sha256.get(),
                                                 options.classes, loaded.preprocessing, loaded.precision},
                                 {}};
  loaded.adapter->metadata->weights_path = recorded_path(loaded.weights_file);
  state_->executor.reset();
}

void Model::train(const std::string& data, const TrainOptions& options) {
  LoadedModel& loaded = state_->loaded;
  if (!loaded.adapter)
    fail_usage("train: got ", loaded.model_name, " without an adapter, expected one. Call adapt first.");
  state_->leave_int8();
  Recipe recipe;
  recipe.data.name = data;
  recipe.loop.epochs = options.epochs;
  recipe.loop.batch_size = options.batch_size;
  recipe.optimizer.learning_rate = options.learning_rate;
  recipe.data.image_size = options.image_size;
  recipe.loop.seed = options.seed;
  recipe.machine.precision = loaded.precision;
  loaded.preprocessing = data_preprocessing(recipe.data, loaded.preprocessing);
  const Splits splits = open_dataset(data, loaded.classes, {});
  if (!splits.train) fail(data, ": got no train split, expected one to train on.");
  check_images({splits.train, splits.validation});
  run_training(loaded.network, state_->run(), {splits.train, splits.validation, loaded.preprocessing}, recipe,
               {.progress = options.progress});
  if (loaded.adapter->metadata) {
    loaded.adapter->metadata->preprocessing = loaded.preprocessing;
    loaded.adapter->metadata->training = {{"data", data}, {"epochs", options.epochs}, {"seed", options.seed}};
  }
}

Evaluated Model::evaluate(const std::string& data, const EvaluateOptions& options) {
  LoadedModel& loaded = state_->loaded;
  const Splits splits = open_dataset(data, loaded.classes, options.download, DatasetUse::kEvaluation);
  auto split = splits.test ? splits.test : splits.validation;
  if (!split) {
    fail(data, ": got neither a test nor a val split, expected one to evaluate on.",
         splits.notes.empty() ? "" : cat(" ", join(splits.notes, "; "), "."));
  }
  if (options.log) std::for_each(splits.notes.begin(), splits.notes.end(), options.log);
  if (split->classes() != loaded.classes) {
    fail_usage("data: got ", split->classes().size(), " classes in ", data, ", expected the model's ",
               loaded.classes.size(), ".");
  }
  split = first(split, options.limit);
  check_images({split});
  const Preprocessing preprocessing = chosen(loaded.preprocessing, options.preprocess);
  const Evaluation found = lorikeet::evaluate(state_->run(), split, preprocessing, {.progress = options.progress});
  return {found.correct, found.total, found.loss, found.correct_by_class, found.total_by_class};
}

Logits Model::logits(const std::vector<fs::path>& images, Preprocess preprocess) {
  const Preprocessing preprocessing = chosen(state_->loaded.preprocessing, preprocess);
  Logits out{0, static_cast<std::int64_t>(classes().size()), {}};
  const auto image = [&](std::size_t i) {
    return normalise(prepare(read_image(images[i]), preprocessing).unsqueeze(0), preprocessing);
  };
  run_in_batches(images.size(), kPredictBatch, image, [&](std::size_t, const at::Tensor& batch) {
    const at::Tensor rows = state_->run().predict(batch).cpu().contiguous();
    const auto* values = rows.const_data_ptr<float>();
    out.values.insert(out.values.end(), values, values + rows.numel());
    out.rows += rows.size(0);
  });
  return out;
}

std::vector<std::vector<Guess>> Model::guesses(const Logits& logits, std::size_t top) const {
  std::vector<std::vector<Guess>> out;
  const auto columns = static_cast<std::size_t>(logits.columns);
  for (std::size_t row = 0; row < static_cast<std::size_t>(logits.rows); ++row) {
    out.push_back(best_guesses(std::span(logits.values).subspan(row * columns, columns), classes(), top));
  }
  return out;
}

std::vector<std::vector<Guess>> Model::predict(const std::vector<fs::path>& images, std::size_t top,
                                               Preprocess preprocess) {
  return guesses(logits(images, preprocess), top);
}

void Model::save(const fs::path& folder) const {
  if (!is_adapted()) fail_usage("save: got ", name(), " without an adapter, expected one. Call adapt first.");
  AdapterFolder copy = *state_->loaded.adapter;
  SavedAdapter saved = state_->loaded.network.saved_adapter();
  copy.spec.config = std::move(saved.config);
  copy.tensors = std::move(saved.tensors);
  write_adapter_with_card(folder, copy);
}

Merged Model::merge(const fs::path& file) const {
  check_weights_name(file);
  const NamedTensors merged = state_dict(state_->loaded.network);
  write_weights_file(file, merged);
  Merged out{static_cast<std::int64_t>(merged.size()), merged.bytes(), {}};
  if (is_adapted() && state_->loaded.adapter->spec.head) {
    for (std::size_t i = 0; i <= state_->loaded.adapter->spec.head->hidden.size(); ++i)
      out.head.push_back(cat("head.", i));
  }
  return out;
}

void Model::export_onnx(const fs::path& file, const OnnxOptions& options) const {
  OnnxExportOptions onnx{.softmax = options.softmax, .size = options.size};
  if (options.preprocess) onnx.preprocessing = chosen(state_->loaded.preprocessing, *options.preprocess);
  OnnxModel model = to_onnx(state_->loaded, onnx);
  model.producer_version = version();
  write_onnx(file, model);
}

void save_logits(const Logits& logits, const fs::path& file) {
  NamedTensors tensors;
  tensors.add("logits",
              at::from_blob(const_cast<float*>(logits.values.data()), {logits.rows, logits.columns}, at::kFloat));
  write_safetensors(file, tensors);
}

}  // namespace lorikeet
