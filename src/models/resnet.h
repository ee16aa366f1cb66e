// ResNet (He et al., 2015, arXiv:1512.03385) as in torchvision: the 3×3 convolution of a bottleneck has the stride
// ("ResNet V1.5"). Also ResNeXt (Xie et al., 2016, arXiv:1611.05431), Wide ResNet (Zagoruyko and Komodakis, 2016,
// arXiv:1605.07146) and ResNet-D (He et al., 2018, arXiv:1812.01187). Built under torchvision's names, with those of
// timm for what torchvision does not have.
#pragma once

#include <vector>

#include "base/json.h"
#include "models/model_entry.h"

namespace lorikeet {

struct ResNetOptions {
  /// In layer1, layer2 …
  std::vector<std::int64_t> blocks{2, 2, 2, 2};
  /// 1×1, 3×3, 1×1 convolutions (ResNet-50 and deeper) instead of two 3×3.
  bool bottleneck = false;
  /// Output channels of layer1, layer2 …; empty: 64, or 256 with bottlenecks, and each twice the one before.
  std::vector<std::int64_t> widths = {};
  // torchvision's. The 3×3 convolution of a bottleneck with `out` output channels has out / 4 · width_per_group / 64 ·
  // groups channels: ResNeXt, Wide ResNet.
  std::int64_t groups = 1;
  std::int64_t width_per_group = 64;
  /// ResNet-D: three 3×3 convolutions instead of the first, 7×7. The projection of a shortcut averages 2 × 2 pixels
  /// instead of skipping three of them.
  bool is_d = false;
  // As transformers' embedding_size, downsample_in_first_stage, downsample_in_bottleneck and hidden_act; the last is
  // that of the stem and of the sums, and the others are ReLU.
  std::int64_t stem = 64;
  bool first_layer_strides = false;
  bool first_conv_strides = false;
  Op activation = Relu{};
  std::int64_t classes = 1000;
};

Graph build_resnet(const ResNetOptions& options);

/// torchvision's and timm's models.
std::vector<ModelEntry> resnet_models();

/// A transformers model of type "resnet", as its config.json describes it. Throws Error, without the file's name, for
/// values that are out of range or not supported.
ModelEntry resnet_from_config(const Json& config);

}  // namespace lorikeet
