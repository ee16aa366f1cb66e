// Shapes and costs of every node for one image of a given size.
#pragma once

#include <cstdint>
#include <vector>

#include "graph/graph.h"

namespace lorikeet {

/// Returns the shape of each node's output without the batch dimension: (C, H, W), (tokens, features) or (features,).
/// Throws UsageError if the image is too small for the network.
std::vector<std::vector<std::int64_t>> infer_shapes(const Graph& graph, std::int64_t height, std::int64_t width);

/// Returns the multiply-adds of each node's forward pass for one image, counted as by torchvision: convolutions, linear
/// layers and the products of attention, without biases. FLOPs are twice that.
std::vector<std::int64_t> count_macs(const Graph& graph, std::int64_t height, std::int64_t width);

}  // namespace lorikeet
