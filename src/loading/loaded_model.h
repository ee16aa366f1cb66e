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
  std::shared_ptr<const ModelEntry> entry;
  Graph graph;
  NamedTensors weights;
  /// "resnet50.v1", the name of the file or the folder, or ORG/NAME@COMMIT of the Hub.
  std::string weights_name;
  /// The file or the model's folder, absolute; empty for official weights and for the Hub's.
  std::filesystem::path weights_file;
  /// fingerprint() of the weights, computed by a separate thread while the caller goes on; they must not be changed.
  std::shared_future<std::string> sha256;
  Preprocessing preprocessing;
  /// Names of the outputs; as many as there are.
  std::vector<std::string> classes;
  /// What the engine makes of the weights; every executor over them shares it.
  std::shared_ptr<PreparedBase> prepared = std::make_shared<PreparedBase>();
  /// What was chosen or left out of an odd file, one line each, for people.
  std::vector<std::string> notes;
};

struct ModelChoice {
  /// A name of the table of models, a model's folder, or ORG/NAME of the Hub (loading/base_source.h); may be empty
  /// where `weights` says enough.
  std::string model = {};
  /// A file; empty: those of the folder or the Hub, or the official weights of `model`, downloaded where they are not
  /// there yet.
  std::filesystem::path weights = {};
  /// Takes an adapter over other weights than those it was trained on.
  bool force = false;
};

/// `choice` with what `name`, a model's name or folder or a weights file, says. Throws UsageError for an adapter.
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
  std::shared_ptr<const ModelEntry> entry;
};

/// The base alone.
LoadedModel use_base_model(const BaseModel& base);

/// `choice` with the model that the adapter at `path` says it was trained on, where `choice` names none; its weights
/// are as they were. Throws Error where it says too little, or where `choice` names another model of the table.
ModelChoice choice_of_adapter(const AdapterFolder& folder, const std::filesystem::path& path,
                              const ModelChoice& choice);

/// An adapter over its base. `choice` says what the adapter does not: the model's name where PEFT wrote it, the weights
/// where they are not the official ones; of a file, that is where the adapter says it was. Throws Error where the base
/// is not the one it was trained on.
LoadedModel load_adapter(const std::filesystem::path& path, const ModelChoice& choice,
                         const DownloadCallback& progress);

/// An adapter over a base that is loaded already. Throws Error where it is another than the one it was trained on.
LoadedModel adapt_base(const BaseModel& base, const std::filesystem::path& path, bool force = false);

/// The adapter over its base's graph. Throws Error, naming `path`, where its patterns or tensors do not fit.
Adaptation adapt_as(AdapterFolder& folder, const Graph& base, const std::filesystem::path& path);

/// `name` is an adapter's folder, a run's folder (with adapter/ in it), a model's name or folder, or a weights file.
LoadedModel load_model(const std::string& name, const ModelChoice& choice, const DownloadCallback& progress);

}  // namespace lorikeet
