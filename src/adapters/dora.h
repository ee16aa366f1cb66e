// DoRA (Liu et al., 2024, arXiv:2402.09353): LoRA on a weight's direction, and a magnitude m for each output channel.
//   y = b + (m / ‖W + ΔW‖) · (W∗x + s · B(A(dropout x))),   m (1, out, 1, 1) of a Conv2d, (out,) of a Linear
// The norm is over all but the first dimension of the weight, and no gradient goes through it. For a grouped
// convolution PEFT 0.21 computes it over another tensor; here it is the norm of the layer's own weight. A filter whose
// norm is 0 stays zero; PEFT's result for it is NaN.
#pragma once

#include <memory>
#include <vector>

#include "adapters/lora.h"

namespace lorikeet {

std::vector<AdapterTensor> dora_tensors(const Node& node, const AdapterTarget& target, const AdapterConfig& config);
std::unique_ptr<LayerAdapter> make_dora(const Node& node, const NodeTensors& base, const AdapterTarget& target,
                                        const AdapterConfig& config, at::Generator& generator);

}  // namespace lorikeet
