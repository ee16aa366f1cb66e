// Shapes and costs of every node for one image of a given size.
#pragma once

#include <cstdint>
#include <vector>

#include "graph/graph.h"

namespace lorikeet {

/// The shape of each node's output without the batch dimension: (C, H, W) or (features,).
/// Throws UsageError where the image is too small for the network.
std::vector<std::vector<std::int64_t>> infer_shapes(const Graph& graph, std::int64_t height, std::int64_t width);

/// Multiply-adds of each node's forward pass for one image, as torchvision counts them: convolutions and linear
/// layers, biases left out. FLOPs are twice that.
std::vector<std::int64_t> count_macs(const Graph& graph, std::int64_t height, std::int64_t width);

/// Zeros around an image, on each side.
struct Padding {
  std::int64_t top = 0, bottom = 0, left = 0, right = 0;

  bool none() const { return top == 0 && bottom == 0 && left == 0 && right == 0; }
  bool symmetric() const { return top == bottom && left == right; }
};

/// What TensorFlow's "SAME" adds in all to one axis: max(0, (⌈size / stride⌉ − 1)·stride + (kernel − 1)·dilation + 1 −
/// size).
std::int64_t same_padding(std::int64_t size, std::int64_t kernel, std::int64_t stride, std::int64_t dilation);

/// A convolution's padding for an image of this size; of an odd "SAME" the larger half lies below and to the right.
Padding padding_of(const Conv2d& conv, std::int64_t height, std::int64_t width);

/// At how many places a kernel fits along an axis of `padded` pixels. REQUIRES: at one or more.
std::int64_t window_count(std::int64_t padded, std::int64_t kernel, std::int64_t stride, std::int64_t dilation);

}  // namespace lorikeet
