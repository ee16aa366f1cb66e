// ConvNeXt (Liu et al., 2022, arXiv:2201.03545) and ConvNeXt V2 (Woo et al., 2023, arXiv:2301.00808), built under
// timm's names.
#pragma once

#include <vector>

#include "base/json.h"
#include "models/model_entry.h"

namespace lorikeet {

struct ConvNextOptions {
  std::vector<std::int64_t> depths{3, 3, 9, 3};
  std::vector<std::int64_t> widths{96, 192, 384, 768};
  std::int64_t patch_size = 4;
  /// The pointwise layers are 1×1 convolutions instead of Linear layers on pixels.
  bool conv_mlp = false;
  /// V2: global response normalisation instead of LayerScale.
  bool global_response_norm = false;
  bool layer_scale = true;
  // As the libraries shape these parameters.
  bool spatial_layer_scale = false;  // torchvision: (C, 1, 1)
  bool wide_response_norm = false;   // transformers: (1, 1, 1, C)
  /// Of the last LayerNorm; the others have 1e-6.
  double last_eps = 1e-6;
  GeluForm gelu = GeluForm::kExact;
  std::int64_t classes = 1000;
};

Graph build_convnext(const ConvNextOptions& options);

/// torchvision's and timm's models.
std::vector<ModelEntry> convnext_models();

/// A transformers model of type "convnext" or "convnextv2". Throws Error for values that are not supported.
ModelEntry convnext_from_config(const Json& config);

}  // namespace lorikeet
