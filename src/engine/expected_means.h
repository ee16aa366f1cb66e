// Statistics of a network's activations derived from its BatchNorm layers, without data: after BatchNorm, a channel has
// the mean `bias` and the standard deviation |`weight`| on the images that the base was trained on; after ReLU, those
// of a clipped normal distribution (Nagel et al., 2019, arXiv:1906.04721, section 4.2 and appendix C).
#pragma once

#include <vector>

#include "engine/network.h"

namespace lorikeet {

/// Returns the expected mean of each channel, (C,) float32, for each node. Undefined if unknown: before the first
/// BatchNorm, and after a convolution without BatchNorm.
std::vector<at::Tensor> expected_means(const Network& network);

/// Returns the mean output, (out,), over all positions of a convolution with this weight (out, in / groups, kh, kw) on
/// images (in, height, width) whose channels have the means (in,). Padding counts as zero, which matters for small
/// images.
at::Tensor mean_output(const Conv2d& conv, const at::Tensor& weight, const at::Tensor& means, std::int64_t height,
                       std::int64_t width);

}  // namespace lorikeet
