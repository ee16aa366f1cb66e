#include "train/training_state.h"

#include <type_traits>
#include <utility>

#include "base/compute.h"
#include "base/error.h"

namespace lorikeet {
namespace {

constexpr int kStateFormat = 1;

// Members stored directly as JSON values, each with its name.
template <typename State, typename Visit>
void each_value(State& s, Visit&& visit) {
  visit("seed", s.seed);
  visit("batch_size", s.batch_size);
  visit("train_images", s.train_images);
  visit("validation_images", s.validation_images);
  visit("total_steps", s.total_steps);
  visit("step", s.step);
  visit("epoch", s.epoch);
  visit("batch", s.batch);
  visit("stopped_early", s.stopped_early);
  visit("rate_factor", s.rate_factor);
  visit("images", s.images);
  visit("loss_sum", s.loss_sum);
  visit("correct", s.correct);
  visit("epoch_images", s.epoch_images);
  visit("seconds", s.seconds);
  visit("data_wait_seconds", s.data_wait_seconds);
  visit("epoch_seconds", s.epoch_seconds);
  visit("epoch_wait_seconds", s.epoch_wait_seconds);
  visit("epochs_without_gain", s.epochs_without_gain);
  visit("best_epoch", s.best_epoch);
  visit("threads", s.threads);
}

template <typename Evaluated, typename Visit>
void each_figure(Evaluated& e, Visit&& visit) {
  visit("correct", e.correct);
  visit("total", e.total);
  visit("loss", e.loss);
  visit("seconds", e.seconds);
  visit("correct_by_class", e.correct_by_class);
  visit("total_by_class", e.total_by_class);
  visit("predicted_by_class", e.predicted_by_class);
  visit("correct_top5", e.correct_top5);
  visit("total_by_bin", e.total_by_bin);
  visit("correct_by_bin", e.correct_by_bin);
  visit("probability_by_bin", e.probability_by_bin);
}

void add_all(NamedTensors& out, const std::string& prefix, const NamedTensors& tensors) {
  for (const auto& [name, tensor] : tensors) out.add(prefix + name, tensor);
}

void add_all(NamedTensors& out, const std::string& prefix, const std::vector<at::Tensor>& tensors) {
  for (std::size_t i = 0; i < tensors.size(); ++i) out.add(prefix + std::to_string(i), tensors[i]);
}

// optimizer.first.0, optimizer.first.1 …
std::vector<at::Tensor> numbered(const NamedTensors& tensors, const std::string& prefix) {
  std::vector<at::Tensor> out;
  while (const at::Tensor* tensor = tensors.find(prefix + std::to_string(out.size()))) out.push_back(*tensor);
  return out;
}

Json plan_json(const Plan& plan) {
  Json segments = Json::array();
  for (const Segment segment : plan.segment) segments.push_back(static_cast<int>(segment));
  return {{"segments", segments}, {"frontier", plan.frontier}};
}

Plan parse_plan(const Json& json) {
  Plan out;
  for (const Json& segment : json.at("segments")) {
    const int value = segment.get<int>();
    if (value < 0 || value > static_cast<int>(Segment::kTrained))
      fail("plan: segments: got ", value, ", expected 0 to 3.");
    out.segment.push_back(static_cast<Segment>(value));
  }
  out.frontier = json.at("frontier").get<std::vector<NodeId>>();
  for (const NodeId id : out.frontier) {
    if (id >= out.segment.size()) fail("plan: frontier: got node ", id, " of ", out.segment.size(), ".");
  }
  return out;
}

const std::vector<std::string>& cache_names() {
  static const std::vector<std::string> kNames{"none", "memory", "disk"};
  return kNames;
}

template <typename Enum>
Enum parse_choice(const Json& json, const char* key, const std::vector<std::string>& names) {
  const auto name = json.at(key).get<std::string>();
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (names[i] == name) return static_cast<Enum>(i);
  }
  fail(key, ": got an unknown value.");
}

TrainingState parse(const SerializedState& serialized) {
  const Json& json = serialized.json;
  if (const int format = json.at("format").get<int>(); format != kStateFormat)
    fail("format: got ", format, ", expected ", kStateFormat, ". Use a newer Lorikeet.");
  TrainingState out;
  each_value(out, [&](const char* key, auto& value) { json.at(key).get_to(value); });
  each_figure(out.validation, [&](const char* key, auto& value) { json.at("validation").at(key).get_to(value); });
  out.plan = parse_plan(json.at("plan"));
  out.device = parse_choice<Device>(json, "device", device_names());
  out.precision = parse_choice<Precision>(json, "precision", precision_names());
  out.engine = parse_choice<EngineKind>(json, "engine", engine_names());
  out.train_cache = parse_choice<CachePlace>(json, "train_cache", cache_names());
  out.validation_cache = parse_choice<CachePlace>(json, "validation_cache", cache_names());
  for (const auto& [name, range] : json.at("activation_ranges").items())
    out.activation_ranges.emplace(name, std::pair(range.at(0).get<float>(), range.at(1).get<float>()));
  out.optimizer = {numbered(serialized.tensors, "optimizer.first."), numbered(serialized.tensors, "optimizer.second."),
                   json.at("optimizer_steps").get<std::int64_t>()};
  std::size_t used = out.optimizer.first.size() + out.optimizer.second.size();
  for (const auto& [prefix, tensors] : {std::pair("network.", &out.network), std::pair("best.", &out.best)}) {
    for (const auto& [name, tensor] : serialized.tensors) {
      if (!name.starts_with(prefix)) continue;
      tensors->add(name.substr(std::string(prefix).size()), tensor);
      ++used;
    }
  }
  if (used != serialized.tensors.size()) fail("got unexpected tensors.");
  for (const auto& [name, tensor] : serialized.tensors) {
    if (tensor.scalar_type() != at::kFloat || !all_finite(tensor))
      fail(name, ": got values that are not finite float32 numbers.");
  }
  if (!(out.rate_factor > 0 && out.rate_factor <= 1))
    fail("rate_factor: got ", out.rate_factor, ", expected a number above 0, up to 1.");
  if (out.optimizer.steps < 0 || out.optimizer.steps > out.step)
    fail("optimizer_steps: got ", out.optimizer.steps, ", expected 0 to ", out.step, ".");
  return out;
}

}  // namespace

SerializedState serialize(const TrainingState& state) {
  SerializedState out{{{"format", kStateFormat}}, {}};
  Json& json = out.json;
  each_value(state, [&](const char* key, const auto& value) { json[key] = value; });
  json["validation"] = Json::object();
  each_figure(state.validation, [&](const char* key, const auto& value) { json["validation"][key] = value; });
  json["plan"] = plan_json(state.plan);
  json["device"] = name_of(state.device);
  json["precision"] = name_of(state.precision);
  json["engine"] = name_of(state.engine);
  json["train_cache"] = cache_names()[static_cast<std::size_t>(state.train_cache)];
  json["validation_cache"] = cache_names()[static_cast<std::size_t>(state.validation_cache)];
  json["activation_ranges"] = Json::object();
  for (const auto& [name, range] : state.activation_ranges)
    json["activation_ranges"][name] = {range.first, range.second};
  json["optimizer_steps"] = state.optimizer.steps;
  add_all(out.tensors, "network.", state.network);
  add_all(out.tensors, "best.", state.best);
  add_all(out.tensors, "optimizer.first.", state.optimizer.first);
  add_all(out.tensors, "optimizer.second.", state.optimizer.second);
  return out;
}

TrainingState parse_training_state(const SerializedState& serialized, const std::string& where) {
  try {
    return parse(serialized);
  } catch (const Json::exception& error) {
    fail(where, ": got an invalid training state: ", error.what(), ".");
  } catch (const Error& error) {
    fail(where, ": ", error.what());
  }
}

}  // namespace lorikeet
