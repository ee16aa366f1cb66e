// Vision transformers (Dosovitskiy et al., 2021, arXiv:2010.11929): ViT, DeiT (arXiv:2012.12877), DeiT III
// (arXiv:2204.07118) and DINOv2 with and without registers (arXiv:2304.07193, arXiv:2309.16588), built under timm's
// names.
#pragma once

#include "base/json.h"
#include "models/model_entry.h"

namespace lorikeet {

/// What the classifier reads after the last block.
enum class TokenPool {
  kClass,         // the class token, normalised
  kMean,          // the mean of the patches, then normalised
  kClassAndMean,  // the class token and the mean of the patches side by side, normalised before
};

struct VitOptions {
  std::int64_t image_size = 224;
  std::int64_t patch_size = 16;
  std::int64_t width = 768;
  std::int64_t depth = 12;
  std::int64_t heads = 12;
  std::int64_t hidden = 4 * 768;
  double eps = 1e-6;
  GeluForm gelu = GeluForm::kExact;
  bool qkv_bias = true;
  bool layer_scale = false;
  /// A second token beside the class token, as DeiT has one for its teacher; the classifier does not read it.
  bool distillation_token = false;
  std::int64_t registers = 0;
  /// Whether the position embeddings include the class and distillation tokens.
  bool embeds_class = true;
  /// As PositionEmbedding::antialias.
  bool antialias = true;
  /// An unused `mask_token`, as transformers' DINOv2 has one.
  bool mask_token = false;
  TokenPool pool = TokenPool::kClass;
  std::int64_t classes = 1000;
};

Graph build_vit(const VitOptions& options);

/// torchvision's and timm's models.
std::vector<ModelEntry> vit_models();

/// A transformers model of type "vit", "deit", "dinov2" or "dinov2_with_registers", as its config.json describes it.
/// Throws Error, without the file's name, for values that are missing, out of range or not supported.
ModelEntry vit_from_config(const Json& config);

}  // namespace lorikeet
