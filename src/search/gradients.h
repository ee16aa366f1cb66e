// Which layers of a network a few numbers change most: a first ranking of the places of a search.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "loading/loaded_model.h"
#include "train/loop.h"
#include "train/recipe.h"

namespace lorikeet {

struct GradientPass {
  /// By module.
  std::map<std::string, double> gradients;
  /// Of a training step with an adapter on all modules, and its forward pass per image; 0 if unknown.
  double step_seconds = 0, image_seconds = 0;
};

/// The mean squared gradient of the loss per parameter for an adapter on each of `modules`: that of lora_B of a new
/// LoRA adapter of rank 4 with a new output, over the first 256 training images in the order of `recipe`, at least four
/// batches.
GradientPass module_gradients(const BaseModel& base, const Recipe& recipe, const LoopData& data,
                              const std::vector<std::string>& modules);

}  // namespace lorikeet
