// Converts logits to predicted classes.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "lorikeet/model.h"

namespace lorikeet {

/// Returns the `top` most probable classes by softmax in descending order, or all if there are fewer. REQUIRES: at
/// least one logit, all finite, and one class name per logit.
std::vector<Prediction> top_predictions(std::span<const float> logits, const std::vector<std::string>& classes,
                                        std::size_t top);

/// Throws Error where an output of the network for the image called `image` is NaN or infinite.
void check_outputs(std::span<const float> logits, const std::string& image);

/// Throws UsageError unless `top` is from 1 to `most`.
void check_top(std::size_t top, std::size_t most);

}  // namespace lorikeet
