// What a network's BatchNorm layers say about its activations without any data: after one, a channel has the mean
// `bias` and the standard deviation |`weight`| on the images that the base was trained on; after ReLU, those of a
// clipped normal distribution (Nagel et al., 2019, arXiv:1906.04721, section 4.2 and appendix C).
#pragma once

#include <vector>

#include "engine/network.h"

namespace lorikeet {

/// The expected mean of each channel, (C,) float32, one a node; undefined where nothing is known: before the first
/// BatchNorm, and after a convolution that has none.
std::vector<at::Tensor> expected_means(const Network& network);

/// The mean over all positions that a convolution with this weight (out, in / groups, kh, kw) has of images (in,
/// height, width) whose channels have these means, (in,): (out,). What the kernel sees of the padding counts as zero;
/// in small images that is most.
at::Tensor mean_output(const Conv2d& conv, const at::Tensor& weight, const at::Tensor& means, std::int64_t height,
                       std::int64_t width);

}  // namespace lorikeet
