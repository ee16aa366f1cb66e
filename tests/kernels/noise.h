// Inputs of the tests of convolutions.
#pragma once

#include <ATen/Functions.h>

#include "graph/small_graphs.h"

namespace lorikeet {

/// Normally distributed; images, which have four dimensions, in channels-last memory.
inline at::Tensor image_noise(at::IntArrayRef shape, std::uint64_t seed) {
  at::Generator generator = seeded(seed);
  const at::Tensor values = at::empty(shape).normal_(0, 1, generator);
  return values.dim() == 4 ? values.contiguous(at::MemoryFormat::ChannelsLast) : values;
}

}  // namespace lorikeet
