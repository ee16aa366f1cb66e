// EfficientNet-Lite (Liu, 2020: EfficientNet, arXiv:1905.11946, without squeeze-and-excitation and with ReLU6) under
// timm's names for `tf_efficientnet_lite0` …: TensorFlow's "SAME" padding and BatchNorm with eps 1e-3.
#pragma once

#include <vector>

#include "models/model_entry.h"

namespace lorikeet {

std::vector<ModelEntry> efficientnet_lite_models();

}  // namespace lorikeet
