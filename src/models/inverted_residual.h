// Networks of inverted residual blocks: MobileNetV2 (Sandler et al., 2018, arXiv:1801.04381), MobileNetV3 (Howard et
// al., 2019, arXiv:1905.02244), EfficientNet (Tan and Le, 2019, arXiv:1905.11946; V2: 2021, arXiv:2104.00298), built
// under timm's names.
#pragma once

#include <vector>

#include "base/json.h"
#include "models/model_entry.h"

namespace lorikeet {

struct InvertedBlock {
  enum class Kind {
    kSeparable,  // depthwise, squeeze-and-excitation, pointwise: nothing is expanded
    kInverted,   // pointwise to `hidden`, depthwise, squeeze-and-excitation, pointwise
    kFused,      // a convolution to `hidden`, pointwise
    kConv        // a single convolution
  };
  Kind kind = Kind::kInverted;
  std::int64_t kernel = 3;
  std::int64_t stride = 1;
  /// Of the depthwise convolution. REQUIRES: 1 unless the stride is 1.
  std::int64_t dilation = 1;
  std::int64_t hidden = 0;
  std::int64_t out = 0;
  /// Channels between the two layers of squeeze-and-excitation; 0: none.
  std::int64_t squeeze = 0;
  Op activation = Relu6{};
  /// Whether a block that keeps the shape adds its input.
  bool residual = true;
};

struct InvertedResidualOptions {
  std::int64_t stem = 32;
  Op stem_activation = Relu6{};
  std::vector<std::vector<InvertedBlock>> stages;
  double eps = 1e-5;
  /// Strided convolutions are padded as in TensorFlow.
  bool same_padding = false;
  // Of squeeze-and-excitation.
  Op squeeze_activation = Relu{};
  Op gate = HardSigmoid{};
  enum class Head {
    kConv,          // convolution, BatchNorm, activation, pooling
    kConvOfPooled,  // pooling, convolution with bias, activation
    kLinear         // pooling, Linear, activation
  };
  Head head = Head::kConv;
  std::int64_t head_width = 1280;
  Op head_activation = Relu6{};
  std::int64_t classes = 1000;
};

Graph build_inverted_residual(const InvertedResidualOptions& options);

/// `value` rounded to the nearest multiple of `divisor` that is at least `least`, but not to less than 90 % of it.
std::int64_t make_divisible(double value, std::int64_t divisor = 8, std::int64_t least = 8);

/// Calls `visit` with each block's timm name, its number over all stages, and the block.
template <typename Visit>
void each_block(const InvertedResidualOptions& options, Visit&& visit) {
  std::size_t number = 0;
  for (std::size_t stage = 0; stage < options.stages.size(); ++stage) {
    for (std::size_t i = 0; i < options.stages[stage].size(); ++i)
      visit("blocks." + std::to_string(stage) + "." + std::to_string(i), number++, options.stages[stage][i]);
  }
}

/// torchvision's and timm's MobileNetV2 and V3.
std::vector<ModelEntry> mobilenet_models();
/// A transformers model of type "mobilenet_v2". Throws Error, without the file's name, for values that are out of range
/// or not supported.
ModelEntry mobilenet_v2_from_config(const Json& config);
/// torchvision's and timm's EfficientNet, and torchvision's V2.
std::vector<ModelEntry> efficientnet_models();

}  // namespace lorikeet
