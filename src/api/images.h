// Converts images of the public interface to tensors.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <string>

#include "graph/graph.h"
#include "image/preprocessing.h"
#include "lorikeet/image.h"

namespace lorikeet {

/// Name of images[index] in messages.
std::string name_of(const Image& image, std::size_t index);

/// Decodes, resizes, crops and normalises image number `index`: float32 (1, 3, h, w). Errors name the image.
at::Tensor network_input(const Image& image, std::size_t index, const Preprocessing& preprocessing);

/// Throws Error, which names the first of the images, if the network cannot take a batch (N, 3, H, W) of their size.
void check_fits(const Graph& graph, const at::Tensor& batch, const std::string& name);

}  // namespace lorikeet
