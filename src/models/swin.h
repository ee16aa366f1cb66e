// Swin Transformer (Liu et al., 2021, arXiv:2103.14030) and torchvision's Swin Transformer V2 (Liu et al., 2022,
// arXiv:2111.09883), built under timm's names.
#pragma once

#include "base/json.h"
#include "models/model_entry.h"

namespace lorikeet {

struct SwinOptions {
  std::int64_t patch_size = 4;
  /// Of the first stage; each further stage has twice as many features.
  std::int64_t width = 96;
  /// One entry per stage.
  std::vector<std::int64_t> depths{2, 2, 6, 2};
  std::vector<std::int64_t> heads{3, 6, 12, 24};
  std::int64_t window = 7;
  double mlp_ratio = 4;
  /// Of the blocks' normalisations and the last one; the others have 1e-5.
  double eps = 1e-5;
  GeluForm gelu = GeluForm::kExact;
  bool qkv_bias = true;
  /// Cosine attention, and normalisation after attention and MLP.
  bool v2 = false;
  /// Determines the treatment of other image sizes and the buffers of the state dict.
  Library library = Library::kTimm;
  std::int64_t classes = 1000;
};

Graph build_swin(const SwinOptions& options);

/// torchvision's and timm's models.
std::vector<ModelEntry> swin_models();

/// A transformers model of type "swin", as its config.json describes it. Throws Error, without the file's name, for
/// values that are missing, out of range or not supported.
ModelEntry swin_from_config(const Json& config);

}  // namespace lorikeet
