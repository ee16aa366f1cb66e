// Shapes and costs of every node for one image of a given size.
#pragma once

#include <cstdint>
#include <vector>

#include "graph/graph.h"

namespace lorikeet {

/// The shape of each node's output without the batch dimension: (C, H, W), (tokens, features) or (features,).
/// Throws UsageError where the image is too small for the network.
std::vector<std::vector<std::int64_t>> infer_shapes(const Graph& graph, std::int64_t height, std::int64_t width);

/// Multiply-adds of each node's forward pass for one image, as torchvision counts them: convolutions, linear
/// layers and the products of attention, biases left out. FLOPs are twice that.
std::vector<std::int64_t> count_macs(const Graph& graph, std::int64_t height, std::int64_t width);

}  // namespace lorikeet
