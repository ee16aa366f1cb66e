// ResNet (He et al., 2015, arXiv:1512.03385) as in torchvision: the 3×3 convolution of a bottleneck has the stride
// ("ResNet V1.5").
#pragma once

#include <array>

#include "base/json.h"
#include "models/model_entry.h"

namespace lorikeet {

struct ResNetOptions {
  /// Blocks in layer1 … layer4.
  std::array<int, 4> blocks{2, 2, 2, 2};
  /// 1×1, 3×3, 1×1 convolutions (ResNet-50 and deeper) instead of two 3×3.
  bool bottleneck = false;
  std::int64_t classes = 1000;
};

Graph build_resnet(const ResNetOptions& options);

std::vector<ModelEntry> resnet_models();

/// A transformers model of type "resnet", as its config.json describes it. Throws Error, without the file's name, for
/// values that are out of range or not those of torchvision's networks.
ModelEntry resnet_from_config(const Json& config);

}  // namespace lorikeet
