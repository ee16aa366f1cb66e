// Base weights: official ones downloaded to $LORIKEET_HOME/weights, or read from any file and checked against the
// graph.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "fetch/download.h"
#include "io/named_tensors.h"
#include "models/models.h"

namespace lorikeet {

/// The path of these weights, which may not exist.
std::filesystem::path weights_path(const WeightsEntry& entry);

/// Returns the path of the weights, after downloading and verifying them by SHA-256 if necessary.
std::filesystem::path fetch_weights(const WeightsEntry& entry, const DownloadCallback& progress);

struct FitOptions {
  /// Ignores tensors that the network does not have instead of rejecting them, as transformers does, whose files may
  /// contain layers of other tasks.
  bool skips_unknown = false;
};

/// Checks the tensors of a weights file read from `path` against the graph: none missing, none unknown, correct shapes,
/// floating-point, finite. Returns them in float32, renamed, in the graph's order. A missing output layer, as in a
/// backbone's file, is set to zero. The notes of the result list that and the ignored tensors: a profiler's counters,
/// and what `options` allows.
NamedTensors fit_base_weights(NamedTensors file, const std::filesystem::path& path, const ModelEntry& model,
                              const Graph& graph, const FitOptions& options = {});

/// Gives the graph's output layer the number of outputs in the file. Returns a one-line description of the change;
/// empty if there is none.
std::string fit_outputs(const NamedTensors& file, const ModelEntry& model, Graph& graph);

/// Reads a weights file and does the same.
NamedTensors load_base_weights(const std::filesystem::path& path, const ModelEntry& model, const Graph& graph);

/// Returns the SHA-256 over names, shapes and float32 values of all parameters in the graph's order, which is
/// independent of the file format. It identifies the base of an adapter.
std::string fingerprint(const NamedTensors& base_weights);

/// Returns the models that match the names and shapes of a weights file: none, one, or several that differ only in
/// their preprocessing. The one that the file names itself (metadata "arch") is the first.
std::vector<std::string> guess_models(const NamedTensors& file);

/// Describes the model whose tensors a file that matches none resembles most, and what differs, in one sentence for
/// messages: " Most like resnet50: …". Empty if no model shares most of its tensors with the file.
std::string describe_nearest_model(const NamedTensors& file);

}  // namespace lorikeet
