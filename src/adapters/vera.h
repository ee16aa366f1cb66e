// VeRA (Kopiczko et al., 2023, arXiv:2310.11454), with PEFT's tensors and arithmetic: y += b ⊙ B(d ⊙ A(dropout x)),
// with the vectors d `vera_lambda_d` (r,) and b `vera_lambda_b` (out,) learned. All layers share the fixed matrices A
// `vera_A` (r, most columns) and B `vera_B` (most rows, r), of which each uses the first columns and rows that its
// weight's matrix (out, columns) has: columns = in, or in / groups · kh · kw of a convolution, which PEFT does not
// adapt. A and B are regenerated from projection_prng_key (base/torch_random.h), or part of the file with
// save_projection.
#pragma once

#include <ATen/core/Generator.h>

#include <memory>
#include <string>
#include <vector>

#include "adapters/adapter_config.h"
#include "adapters/layer_adapter.h"
#include "adapters/methods.h"

namespace lorikeet {

/// Throws UsageError if a shared matrix would have more than kMaxSharedElements elements.
std::vector<Parameter> vera_tensors(const AdaptedLayers& layers, const AdapterConfig& config);
std::vector<std::unique_ptr<LayerAdapter>> start_vera(const AdaptedLayers& layers, const std::vector<NodeTensors>& base,
                                                      const AdapterConfig& config, at::Generator& generator);

}  // namespace lorikeet
