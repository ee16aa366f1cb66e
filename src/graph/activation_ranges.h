// Calibrated ranges of a network's activations, which determine int8 scales.
#pragma once

#include <map>
#include <string>
#include <utility>

namespace lorikeet {

/// Minimum and maximum of each step's output by the node's name; of the network's input by "input".
using ActivationRanges = std::map<std::string, std::pair<float, float>>;

}  // namespace lorikeet
