// From a network's graph and its merged tensors to an ONNX model (io/onnx.h): one operator for a node, under the node's
// name, its tensors under theirs. BatchNorm stays a separate operator, which runtimes fold. Batch size,
// height and width are free: TensorFlow's "SAME" padding is ONNX's SAME_UPPER, which follows the image's size.
//
//   images ──► [resize, crop, normalise] ──► the network ──► logits ──► [Softmax] ──► probabilities
#pragma once

#include <cstdint>
#include <optional>

#include "graph/graph.h"
#include "image/preprocessing.h"
#include "io/named_tensors.h"
#include "io/onnx.h"
#include "loading/loaded_model.h"

namespace lorikeet {

struct OnnxExportOptions {
  /// What is done inside the model, to uint8 images (N, H, W, 3); resize and crop are 0 where images come at their
  /// size. Nothing: the input is float32 (N, 3, H, W), normalised already.
  std::optional<Preprocessing> preprocessing = std::nullopt;
  /// The output is probabilities instead of logits.
  bool softmax = false;
  /// Height and width of the input in pixels; 0: free.
  std::int64_t size = 0;
};

/// Throws UsageError if the size is too small for the network, or a crop is larger than what it is cut from.
/// REQUIRES: `merged` holds every parameter of the graph, in float32.
OnnxModel to_onnx(const Graph& graph, const NamedTensors& merged, const OnnxExportOptions& options);

/// A base or an adapter merged into it, and what is known of it in the metadata: `classes` (a JSON list), `base_model`,
/// `base_weights`, `base_sha256`, `preprocessing` (a JSON object: the whole, whatever of it the model does itself).
OnnxModel to_onnx(const LoadedModel& loaded, const OnnxExportOptions& options);

}  // namespace lorikeet
