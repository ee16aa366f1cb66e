// Converts a network's graph and its merged tensors to an ONNX model (io/onnx.h). Each node becomes one operator, if
// ONNX has it, under the node's name; tensors keep their names. BatchNorm stays a separate operator, which runtimes
// fold. Batch size, height and width are dynamic: TensorFlow's "SAME" padding becomes SAME_UPPER, which depends on the
// image size.
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
  /// Preprocessing included in the model, whose input is then uint8 (N, H, W, 3). resize and crop are 0 if images
  /// already have the right size. Absent: the input is float32 (N, 3, H, W), already normalised.
  std::optional<Preprocessing> preprocessing = std::nullopt;
  /// Output probabilities instead of logits.
  bool softmax = false;
  /// Height and width of the input in pixels; 0: dynamic.
  std::int64_t size = 0;
};

/// Throws UsageError if the size is too small for the network, or a crop is larger than the resized image. REQUIRES:
/// `merged` contains every parameter of the graph, in float32.
OnnxModel to_onnx(const Graph& graph, const NamedTensors& merged, const OnnxExportOptions& options);

/// Exports a base or a merged adapter with metadata: `classes` (a JSON list), `base_model`, `base_weights`,
/// `base_sha256`, `preprocessing` (a JSON object: the complete preprocessing, including what the model itself does).
OnnxModel to_onnx(const LoadedModel& loaded, const OnnxExportOptions& options);

}  // namespace lorikeet
