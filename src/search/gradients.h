// Which layers of a network a few numbers change most: a first ranking of the places of a search.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "loading/loaded_model.h"
#include "train/loop.h"
#include "train/recipe.h"

namespace lorikeet {

/// The mean squared gradient of the loss per parameter for an adapter on each of `modules`: that of lora_B of a new
/// LoRA adapter of rank 4 with a new output, over the first `images` training images in the order of `recipe`.
std::map<std::string, double> module_gradients(const BaseModel& base, const Recipe& recipe, const LoopData& data,
                                               const std::vector<std::string>& modules, std::int64_t images = 256);

}  // namespace lorikeet
