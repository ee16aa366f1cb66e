// Measured ranges of a network's activations, from which int8 takes its scales.
#pragma once

#include <map>
#include <string>
#include <utility>

namespace lorikeet {

/// The smallest and the largest value of each step's output, by the node's name; of the input by "input".
using ActivationRanges = std::map<std::string, std::pair<float, float>>;

}  // namespace lorikeet
