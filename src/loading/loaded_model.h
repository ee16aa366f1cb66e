// Base models and adapters as users name them, loaded, checked and ready to run.
#pragma once

#include <filesystem>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "adapters/adapter_folder.h"
#include "engine/network.h"
#include "engine/prepared_base.h"
#include "fetch/download.h"
#include "models/models.h"

namespace lorikeet {

struct BaseModel {
  const ModelEntry* entry = nullptr;
  Graph graph;
  NamedTensors weights;
  /// "resnet50.v1", or the name of the file.
  std::string weights_name;
  /// The file, absolute; empty for official weights.
  std::filesystem::path weights_file;
  /// fingerprint() of the weights, computed by a separate thread while the caller goes on; they must not be changed.
  std::shared_future<std::string> sha256;
  Preprocessing preprocessing;
  /// What the engine makes of the weights; every executor over them shares it.
  std::shared_ptr<PreparedBase> prepared = std::make_shared<PreparedBase>();
  /// What was chosen or left out of an odd file, one line each, for people.
  std::vector<std::string> notes;
};

struct ModelChoice {
  /// A name of the table of models; may be empty where `weights` says enough.
  std::string model = {};
  /// A file; empty: the official weights of `model`, downloaded where they are not there yet.
  std::filesystem::path weights = {};
  /// Takes an adapter over other weights than those it was trained on.
  bool force = false;
};

/// `choice` with what `name`, a model's name or a weights file, says. Throws UsageError for an adapter.
ModelChoice base_choice(const std::string& name, const ModelChoice& choice);

/// A file is read once, whether or not it must say the model's name.
BaseModel load_base_model(const ModelChoice& choice, const DownloadCallback& progress);

/// BaseModel::weights_file as AdapterMetadata::weights_path records it.
std::string recorded_path(const std::filesystem::path& weights_file);

/// A network with or without an adapter, and what goes with it.
struct LoadedModel {
  Network network;
  Preprocessing preprocessing;
  /// Names of the outputs; as many as logits.
  std::vector<std::string> classes;
  Precision precision = Precision::kFloat32;
  /// Set where an adapter is loaded.
  std::optional<AdapterFolder> adapter;
  std::string model_name;
  // As BaseModel's.
  std::string weights_name;
  std::filesystem::path weights_file;
  std::shared_future<std::string> base_sha256;
  std::shared_ptr<PreparedBase> prepared;
  std::vector<std::string> notes;
};

/// The base alone.
LoadedModel use_base_model(BaseModel base);

/// An adapter over its base. `choice` says what the adapter does not: the model's name where PEFT wrote it, the weights
/// where they are not the official ones; of a file, that is where the adapter says it was. Throws Error where the base
/// is not the one it was trained on.
LoadedModel load_adapter(const std::filesystem::path& path, const ModelChoice& choice,
                         const DownloadCallback& progress);

/// An adapter over a base that is loaded already. Throws Error where it is another than the one it was trained on.
LoadedModel adapt_base(const BaseModel& base, const std::filesystem::path& path, bool force = false);

/// The adapter over its base's graph. Throws Error, naming `path`, where its patterns or tensors do not fit.
Adaptation adapt_as(AdapterFolder& folder, const Graph& base, const std::filesystem::path& path);

/// `name` is an adapter's folder, a run's folder (with adapter/ in it), a model's name, or a weights file.
LoadedModel load_model(const std::string& name, const ModelChoice& choice, const DownloadCallback& progress);

}  // namespace lorikeet
