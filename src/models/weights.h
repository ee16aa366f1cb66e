// Base weights: fetched by name into $LORIKEET_HOME/weights, or read from any file and checked against the graph.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "fetch/download.h"
#include "io/named_tensors.h"
#include "models/models.h"

namespace lorikeet {

/// Where the file of these weights is kept, whether or not it is there.
std::filesystem::path weights_path(const WeightsEntry& entry);

/// The path of the weights, downloaded and checked by SHA-256 first where they are not there yet.
std::filesystem::path fetch_weights(const WeightsEntry& entry, const DownloadCallback& progress);

struct FitOptions {
  /// Leaves out tensors that the network does not have instead of refusing them, as transformers does: its files may
  /// hold layers of other tasks.
  bool skips_unknown = false;
};

/// The tensors of a weights file that was read from `path`, checked against the graph: translated names, none missing,
/// none unknown, shapes, floating-point types, finite values. Gives float32 tensors in the graph's order. Where the
/// file has no tensor of the output layer, as that of a backbone, it is zero. The result's notes say so, and what was
/// left out: a profiler's counters, and what `options` allows.
NamedTensors fit_base_weights(NamedTensors file, const std::filesystem::path& path, const ModelEntry& model,
                              const Graph& graph, const FitOptions& options = {});

/// Gives the graph's output layer as many outputs as the file's has. What was changed, in one line; empty where they
/// agree already.
std::string fit_outputs(const NamedTensors& file, const ModelEntry& model, Graph& graph);

/// The same of a file that has not been read.
NamedTensors load_base_weights(const std::filesystem::path& path, const ModelEntry& model, const Graph& graph);

/// SHA-256 over the names, shapes and float32 values of all parameters in the graph's order: the same for the same
/// weights in any file format. It says which base an adapter belongs to.
std::string fingerprint(const NamedTensors& base_weights);

/// The models whose names and shapes a weights file has: none, one, or several that differ in nothing but their
/// preprocessing.
std::vector<std::string> guess_models(const NamedTensors& file);

}  // namespace lorikeet
