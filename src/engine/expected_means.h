// What a network's BatchNorm layers tell of its activations without any data: behind one, a channel has the mean `bias` and the
// standard deviation |`weight`| on the images that the base was trained on; behind ReLU, those of a clipped normal distribution
// (Nagel et al., 2019, arXiv:1906.04721, section 4.2 and appendix C).
#pragma once

#include <vector>

#include "engine/network.h"

namespace lorikeet {

/// The expected mean of each channel, (C,) float32, one a node; undefined where nothing is known: before the first BatchNorm, and
/// behind a convolution that has none.
std::vector<at::Tensor> expected_means(const Network& network);

}  // namespace lorikeet
