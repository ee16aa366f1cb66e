// LoRA-XS (Bałazy et al., 2024, arXiv:2405.17604): y += s · U·Σ·R·Vᵀ·x. U, Σ and V are the leading singular vectors and
// values of the layer's weight as a matrix (out, in / groups · kh · kw), found again from the base
// (adapters/singular_basis.h); R `lora_xs_R` (r, r) is learned, starts at zero and is all that is saved.
// r is limited to the smaller side of the matrix. PEFT does not have this method: "LORA_XS" is not its name.
#pragma once

#include <ATen/core/Generator.h>

#include <memory>
#include <vector>

#include "adapters/methods.h"

namespace lorikeet {

std::vector<AdapterTensor> lora_xs_tensors(const Node& node, const AdapterTarget& target, const AdapterConfig& config);
std::vector<std::unique_ptr<LayerAdapter>> make_lora_xs(const AdaptedLayers& layers,
                                                        const std::vector<NodeTensors>& base,
                                                        const AdapterConfig& config, at::Generator& generator);

}  // namespace lorikeet
