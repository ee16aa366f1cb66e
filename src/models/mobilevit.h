// MobileViT (Mehta and Rastegari, 2022, arXiv:2110.02178): inverted residual blocks, and transformers between the
// pixels at the same position of each patch. Built under timm's names.
#pragma once

#include <array>
#include <vector>

#include "base/json.h"
#include "models/model_entry.h"

namespace lorikeet {

struct MobileVitOptions {
  /// Channels after the stem, after each of the five stages, and of the last convolution.
  std::array<std::int64_t, 7> channels{16, 32, 64, 96, 128, 160, 640};
  /// Features of the tokens in the last three stages.
  std::array<std::int64_t, 3> widths{144, 192, 240};
  std::int64_t heads = 4;
  double mlp_ratio = 2;
  /// Of inverted residual blocks.
  double expand_ratio = 4;
  /// Of the convolutions around the transformers.
  std::int64_t kernel = 3;
  std::int64_t patch = 2;
  /// At 8 and 16, the last stages are dilated instead of strided.
  std::int64_t output_stride = 32;
  double eps = 1e-5;
  bool qkv_bias = true;
  Op activation = Silu{};
  std::int64_t classes = 1000;
};

Graph build_mobilevit(const MobileVitOptions& options);

/// timm's models.
std::vector<ModelEntry> mobilevit_models();

/// A transformers model of type "mobilevit". Throws Error, without the file's name, for values that are out of range or
/// not supported.
ModelEntry mobilevit_from_config(const Json& config);

}  // namespace lorikeet
