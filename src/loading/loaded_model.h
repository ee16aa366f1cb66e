// Loads and checks base models and adapters by the names that users give.
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
  /// "resnet50.v1", the name of the file or folder, or ORG/NAME@COMMIT of the Hub.
  std::string weights_name;
  /// The absolute path of the file or the model's folder; empty for official weights and the Hub's.
  std::filesystem::path weights_file;
  /// fingerprint() of the weights, computed on another thread, which also remembers where a local file is. The weights
  /// must not be changed.
  std::shared_future<std::string> sha256;
  Preprocessing preprocessing;
  /// Names of the outputs, one per output.
  std::vector<std::string> classes;
  /// Whether `classes` are names, rather than the numbers of the outputs.
  bool has_class_names = false;
  /// Prepared weights, shared by all executors of this base.
  std::shared_ptr<PreparedBase> prepared = std::make_shared<PreparedBase>();
  /// One line for each choice made in reading an unusual file, and for each tensor ignored.
  std::vector<std::string> notes;
};

struct ModelChoice {
  /// A name in the model table, a model's folder, or ORG/NAME of the Hub (loading/base_source.h); may be empty if
  /// `weights` determines the model.
  std::string model = {};
  /// A file. Empty: the weights of the folder or the Hub, or the official weights of `model`, downloaded if not
  /// present.
  std::filesystem::path weights = {};
  /// Accepts base weights other than those the adapter was trained on.
  bool force = false;
};

/// Adds the model's name or folder or weights file `name` to `choice`. Throws UsageError for an adapter.
ModelChoice base_choice(const std::string& name, const ModelChoice& choice);

/// Loads a base. A file is read only once, even if its tensors determine the model's name.
BaseModel load_base_model(const ModelChoice& choice, const DownloadCallback& progress);

/// A network with or without an adapter, and its metadata.
struct LoadedModel {
  Network network;
  Preprocessing preprocessing;
  /// One name per output.
  std::vector<std::string> classes;
  /// As in BaseModel.
  bool has_class_names = false;
  Precision precision = Precision::kFloat32;
  /// Set if an adapter is loaded.
  std::optional<AdapterFolder> adapter;
  // As in BaseModel.
  std::string weights_name;
  std::filesystem::path weights_file;
  std::shared_future<std::string> base_sha256;
  std::shared_ptr<PreparedBase> prepared;
  std::vector<std::string> notes;
  std::shared_ptr<const ModelEntry> entry;
  /// Of the base, whose frozen tensors the network shares.
  Graph base_graph;
  NamedTensors base_weights;
};

/// Loads a base without an adapter.
LoadedModel use_base_model(const BaseModel& base);

/// Adds to `choice` the model that the adapter at `path` records, unless `choice` names one, with its weights. Throws
/// Error if the adapter does not record enough, or `choice` names another model of the table.
ModelChoice choice_of_adapter(const AdapterFolder& folder, const std::filesystem::path& path,
                              const ModelChoice& choice);

/// Loads the base of the adapter at `path`, as load_adapter does.
BaseModel load_base_of(const AdapterFolder& folder, const std::filesystem::path& path, const ModelChoice& choice,
                       const DownloadCallback& progress);

/// Loads an adapter with its base. `choice` supplies what the adapter does not record: the model's name if PEFT wrote
/// it, and the weights file if it is not where this machine last had it (loading/known_places.h). Throws Error if the
/// base is not the one the adapter was trained on.
LoadedModel load_adapter(const std::filesystem::path& path, const ModelChoice& choice,
                         const DownloadCallback& progress);

/// Loads an adapter for a loaded base. Throws Error if the base is not the one the adapter was trained on.
LoadedModel adapt_base(const BaseModel& base, const std::filesystem::path& path, bool force = false);
/// The same of an adapter that was read from `path`. Its base may have another name in the table.
LoadedModel adapt_base(const BaseModel& base, AdapterFolder folder, const std::filesystem::path& path, bool force);

/// Applies the adapter to its base's graph, and decodes the tensors of a file; those that need the base's weights stay
/// incomplete (adapters/adapter_file.h). Throws Error, naming `path`, if its patterns or tensors do not fit.
Adaptation adapt_as(AdapterFolder& folder, const Graph& base, const std::filesystem::path& path);

/// `name` is the folder or file of an adapter, the folder of a run (with adapter/ in it), a model's name or folder, or
/// a weights file.
LoadedModel load_model(const std::string& name, const ModelChoice& choice, const DownloadCallback& progress);

}  // namespace lorikeet
