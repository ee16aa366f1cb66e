// The images of the public interface as tensors.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <string>

#include "image/preprocessing.h"
#include "lorikeet/image.h"

namespace lorikeet {

/// What a message calls images[index].
std::string name_of(const Image& image, std::size_t index);

/// images[index], decoded, resized and cropped, and normalised: float32 (1, 3, h, w). Throws Error, naming the image.
at::Tensor network_input(const Image& image, std::size_t index, const Preprocessing& preprocessing);

}  // namespace lorikeet
