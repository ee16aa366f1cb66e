// From one image's logits to the classes that users see.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "lorikeet/model.h"

namespace lorikeet {

/// The `top` most probable classes by SoftMax, the most probable first. REQUIRES: as many names as logits.
std::vector<Guess> best_guesses(std::span<const float> logits, const std::vector<std::string>& classes,
                                std::size_t top);

}  // namespace lorikeet
