#include "train/run_report.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <utility>

#include "adapters/methods.h"
#include "base/base64.h"
#include "base/compute.h"
#include "base/error.h"
#include "base/file.h"
#include "base/text.h"
#include "image/encode_jpeg.h"
#include "image/resample.h"
#include "kernels/machine.h"
#include "lorikeet/version.h"
#include "report/table.h"
#include "train/metrics.h"
#include "train/metrics_files.h"
#include "train/recipe_field.h"

namespace fs = std::filesystem;

namespace lorikeet {
namespace {

constexpr std::uint64_t kMaxMetrics = 256 << 20;
constexpr std::int64_t kPictureSide = 112;
constexpr std::int64_t kSmallSide = 64;
constexpr int kPictureQuality = 88;

std::string interval_text(std::int64_t correct, std::int64_t total) {
  const Interval interval = wilson_interval(correct, total);
  return cat("95 % interval ", fixed(interval.low, 4), " – ", fixed(interval.high, 4));
}

std::vector<Fact> headline(const ReportedRun& run) {
  const TrainSummary& s = run.summary;
  std::vector<Fact> out;
  if (s.test.total > 0) {
    out.push_back({run.split + " accuracy", fixed(s.test.accuracy(), 4), interval_text(s.test.correct, s.test.total)});
  }
  if (s.file_test.total > 0) {
    out.push_back({cat("adapter.lorikeet in ", name_of(run.recipe.file_precision)), fixed(s.file_test.accuracy(), 4),
                   cat(run.split, " accuracy")});
  }
  out.push_back({"trainable parameters", with_commas(s.trainable_parameters),
                 cat(share_text(static_cast<double>(s.trainable_parameters) / static_cast<double>(s.total_parameters)),
                     " of ", with_commas(s.total_parameters))});
  out.push_back({"adapter folder", human_bytes(s.adapter_folder_bytes),
                 cat("complete model: ", human_bytes(s.whole_model_bytes))});
  out.push_back({"training", clock(s.loop.seconds),
                 cat(counted(s.loop.epochs, "epoch"), ", ", fixed(s.loop.images_per_second(), 0), " img/s")});
  return out;
}

std::vector<Fact> metric_facts(const EvaluationResult& r) {
  if (r.total == 0) return {};
  const auto value = [&](Metric which) { return fixed(metric(r, which), 4); };
  std::vector<Fact> out{
      {"accuracy", value(Metric::kAccuracy),
       cat(with_commas(r.correct), " of ", with_commas(r.total), ", ", interval_text(r.correct, r.total))}};
  if (r.total_by_class.size() >= kTop5Classes)
    out.push_back({"top-5 accuracy", value(Metric::kTop5Accuracy),
                   cat("the class is among the five most probable, ", interval_text(r.correct_top5, r.total))});
  out.push_back({"macro precision", value(Metric::kMacroPrecision), "mean over classes of correct / predicted"});
  out.push_back({"macro recall", value(Metric::kMacroRecall), "mean over classes of correct / images"});
  out.push_back({"macro F1", value(Metric::kMacroF1), "mean over classes of the harmonic mean of both"});
  out.push_back({"loss", value(Metric::kLoss), "mean cross-entropy"});
  out.push_back({"calibration error", value(Metric::kCalibrationError),
                 "expected distance of probability and accuracy, 15 bins"});
  return out;
}

std::vector<ClassRow> class_rows(const EvaluationResult& r, const std::vector<std::string>& classes) {
  const auto metrics = class_metrics(r);
  std::vector<ClassRow> out;
  for (std::size_t i = 0; i < metrics.size(); ++i) {
    if (r.total_by_class[i] == 0 && r.predicted_by_class[i] == 0) continue;
    const Interval recall = wilson_interval(r.correct_by_class[i], r.total_by_class[i]);
    out.push_back({classes[i], r.total_by_class[i], r.predicted_by_class[i], metrics[i].precision, metrics[i].recall,
                   metrics[i].f1, recall.low, recall.high});
  }
  return out;
}

// The last two parts of a path: enough to find the image, without the folders of a person's machine.
std::string short_source(const std::string& source) {
  const fs::path path(source);
  return path.has_parent_path() ? (path.parent_path().filename() / path.filename()).string() : source;
}

std::vector<MistakeImage> mistake_images(const ReportedRun& run) {
  std::vector<MistakeImage> out;
  if (!run.evaluated) return out;
  for (const Mistake& mistake : run.summary.test.mistakes) {
    at::Tensor image = run.evaluated->get(mistake.image).image;
    const std::int64_t height = image.size(1), width = image.size(2);
    const std::int64_t side = std::max(height, width);
    if (side > kPictureSide) {
      const auto scaled = [&](std::int64_t length) { return std::max<std::int64_t>(1, length * kPictureSide / side); };
      image = resample(image, scaled(height), scaled(width), {0, 0, scaled(height), scaled(width)},
                       Interpolation::kBilinear);
    }
    const auto& classes = run.evaluated->classes();
    out.push_back({"data:image/jpeg;base64," + base64(encode_jpeg(image, kPictureQuality)), side <= kSmallSide,
                   classes[static_cast<std::size_t>(mistake.label)],
                   classes[static_cast<std::size_t>(mistake.predicted)], mistake.probability,
                   short_source(run.evaluated->describe(mistake.image))});
  }
  return out;
}

std::vector<LayerMark> layer_marks(const Adaptation& adaptation) {
  using State = LayerMark::State;
  const Graph& graph = adaptation.graph;
  std::map<NodeId, LayerMark> marks;
  for (const Parameter& parameter : graph.parameters()) {
    if (parameter.buffer) continue;
    LayerMark& mark = marks[parameter.node];
    mark.name = graph.node(parameter.node).name;
    mark.operation = describe(graph.node(parameter.node).op);
    mark.parameters += parameter.count();
  }
  for (const Parameter& parameter : trainable_parameters(adaptation)) {
    if (const auto mark = marks.find(parameter.node); mark != marks.end()) mark->second.trained += parameter.count();
  }
  const auto set = [&](NodeId node, State state) {
    if (const auto mark = marks.find(node); mark != marks.end()) mark->second.state = state;
  };
  for (const NodeId node : adaptation.biases) set(node, State::kBias);
  for (const auto& target : adaptation.targets) set(target.node, State::kAdapted);
  for (const auto* nodes : {&adaptation.retrained, &adaptation.head}) {
    for (const NodeId node : *nodes) set(node, State::kTrained);
  }
  std::vector<LayerMark> out;
  for (auto& [node, mark] : marks) out.push_back(std::move(mark));
  return out;
}

std::vector<SizeRow> size_rows(const ReportedRun& run) {
  const TrainSummary& s = run.summary;
  std::int64_t head = 0;
  for (const auto& parameter : trainable_parameters(run.adaptation)) {
    const auto& nodes = run.adaptation.head;
    const bool is_of_head = std::find(nodes.begin(), nodes.end(), parameter.node) != nodes.end();
    if (is_of_head || is_small_output_tensor(parameter.name)) head += parameter.count();
  }
  std::vector<SizeRow> out{{"complete model, float32", s.total_parameters, s.whole_model_bytes},
                           {"adapter_model.safetensors", s.trainable_parameters - head, s.adapter_bytes}};
  std::error_code none;
  const auto head_bytes = fs::file_size(s.adapter / "head.safetensors", none);
  if (!none) out.push_back({"head.safetensors", head, head_bytes});
  out.push_back({"adapter folder", s.trainable_parameters, s.adapter_folder_bytes});
  out.push_back(
      {cat("adapter.lorikeet, ", name_of(run.recipe.file_precision)), s.trainable_parameters, s.adapter_file_bytes});
  return out;
}

std::string written(const fields::Field& field, const Recipe& recipe) {
  YAML::Emitter out;
  field.write(recipe, out);
  return out.c_str();
}

// Whether resolved() chose the value: it gives the same one if the recipe has the default.
bool is_automatic(const fields::Field& field, const Recipe& recipe, const std::string& value) {
  Recipe other = recipe;
  field.read(other, YAML::Load(written(field, Recipe())));
  return written(field, resolved(std::move(other))) == value;
}

// What the program chose, then the keys that differ from their defaults.
std::vector<Fact> choices(const ReportedRun& run) {
  const Recipe& recipe = run.recipe;
  const TrainSummary& s = run.summary;
  const Machine machine = examine_machine();
  const std::size_t nodes = run.plan.segment.size();
  const auto frozen = static_cast<std::size_t>(std::count_if(
      run.plan.segment.begin(), run.plan.segment.end(), [](Segment each) { return each == Segment::kFrozenPrefix; }));
  std::vector<Fact> out;
  out.push_back({"epoch kept", cat(s.loop.kept_epoch, " of ", s.loop.epochs),
                 s.loop.validation.total == 0           ? "no validation images: the last epoch is kept"
                 : recipe.loop.best == BestEpoch::kLast ? "best: last"
                                                        : cat("the best by validation ", title_of(recipe.loop.best))});
  out.push_back({"image size",
                 run.preprocessing.crop > 0 ? cat(run.preprocessing.crop, " pixels") : std::string("that of the files"),
                 recipe.data.image_size > 0                         ? "image_size of the recipe"
                 : recipe.data.preprocess == Preprocess::kNormalise ? "preprocess: normalise"
                                                                    : "the weights' own evaluation"});
  out.push_back({"frozen prefix", cat(frozen, " of ", counted(nodes, "operation")),
                 s.loop.cached_prefix
                     ? "nothing in it is trained; its outputs are computed once and cached"
                     : "nothing in it is trained, so it needs no gradients; its outputs are not cached: "
                       "the images change, are read once, or do not fit cache_gib and cache_disk_gib"});
  out.push_back({"precision", name_of(recipe.machine.precision),
                 machine.bfloat16 ? "this processor has native bfloat16" : "this processor only emulates bfloat16"});
  out.push_back({"threads", std::to_string(machine.threads),
                 recipe.machine.threads > 0 ? "threads of the recipe" : "one for each core"});
  const Recipe defaults;
  for (const auto& field : fields::all()) {
    if (field.key == "reference") continue;
    const std::string value = written(field, recipe), by_default = written(field, defaults);
    if (value == by_default) continue;
    out.push_back({field.key, value,
                   cat(is_automatic(field, recipe, value)
                           ? "chosen automatically"
                           : cat("instead of the default, ", by_default == "~" ? "null" : by_default),
                       ": ", field.meaning)});
  }
  return out;
}

std::string processor_name() {
  std::ifstream in("/proc/cpuinfo");
  for (std::string line; std::getline(in, line);) {
    const std::size_t colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos) return line.substr(colon + 2);
  }
  return "unknown";
}

std::vector<Fact> machine_facts(const Recipe& recipe) {
  const Machine machine = examine_machine();
  return {{"processor", processor_name()},   {"threads", cat(machine.threads, " of ", machine.hardware_threads)},
          {"instructions", machine.kernels}, {"device", name_of(recipe.machine.device)},
          {"lorikeet", version()},           {"libtorch", libtorch_version()}};
}

double number_or(const Json& line, const char* key, double otherwise) {
  const auto found = line.find(key);
  return found != line.end() && found->is_number() ? found->get<double>() : otherwise;
}

}  // namespace

Curves read_curves(const fs::path& metrics) {
  Curves out;
  std::error_code error;
  if (const auto size = fs::file_size(metrics, error); error || size > kMaxMetrics) return out;
  double steps_per_epoch = 0;
  each_metrics_line(metrics, 0, [&](const Json& line) {
    const double epoch = number_or(line, "epoch", 0);
    if (const double step = number_or(line, "step", 0); step > 0) {
      if (epoch == 1) steps_per_epoch = step;
      out.steps.push_back({step, number_or(line, "loss", 0), number_or(line, "learning_rate", 0)});
    } else if (line.contains("train_loss")) {
      if (!out.epochs.empty() && out.epochs.back().epoch == epoch) out.epochs.pop_back();  // cut by max_steps
      Curves::Epoch row{epoch, number_or(line, "train_loss", 0), number_or(line, "train_accuracy", 0)};
      if (line.contains("validation_loss")) row.validation_loss = number_or(line, "validation_loss", 0);
      if (line.contains("validation_accuracy")) row.validation_accuracy = number_or(line, "validation_accuracy", 0);
      out.epochs.push_back(row);
    }
  });
  for (auto& step : out.steps) step.epoch /= std::max(1.0, steps_per_epoch);
  return out;
}

RunPage make_run_page(const ReportedRun& run) {
  const TrainSummary& s = run.summary;
  RunPage out;
  const std::string data = short_source(run.recipe.data.name);
  out.title = cat(run.recipe.model, " adapted to ", fs::path(data).filename().string());
  out.subtitle =
      cat(run.recipe.run.filename().string(), ": ", summary(run.adaptation.config),
          run.weights == run.recipe.model ? "" : cat(", weights ", run.weights), s.interrupted ? ", interrupted" : "");
  out.headline = headline(run);
  out.curves = read_curves(run.metrics);
  if (s.test.total > 0) {
    out.split = run.split;
    out.metrics = metric_facts(s.test);
    out.classes = class_rows(s.test, s.classes);
    if (s.classes.size() <= kSummaryClasses && !s.test.confusion.empty()) {
      out.confusion_labels = s.classes;
      out.confusion = s.test.confusion;
    }
    out.mistakes = mistake_images(run);
  }
  out.layers = layer_marks(run.adaptation);
  out.sizes = size_rows(run);
  out.choices = choices(run);
  out.notes = run.notes;
  out.machine = machine_facts(run.recipe);
  out.recipe = recipe_yaml(run.recipe);
  return out;
}

}  // namespace lorikeet
