// FourierFT (Gao et al., 2024, arXiv:2405.03003), with PEFT's tensors and arithmetic: the change of a weight is the
// inverse 2D Fourier transform of a spectrum that is zero but for n_frequency learned real numbers,
//   ΔW[p, q] = s / (out·columns) · Σₖ c[k] · cos(2π (u[k]·p / out + v[k]·q / columns)),
// for the weight's matrix (out, columns); columns = in, or in / groups · kh · kw of a convolution, which PEFT does not
// adapt. The frequencies (u, v) are drawn from random_loc_seed (base/torch_random.h) and not saved.
// Few frequencies are computed as two low-rank factors, with which the layer runs as LoRA does; many by a fast Fourier
// transform.
#pragma once

#include <ATen/core/Generator.h>

#include <memory>
#include <vector>

#include "adapters/adapter_config.h"
#include "adapters/layer_adapter.h"
#include "adapters/matching.h"

namespace lorikeet {

/// Throws UsageError if the layer's weight has fewer elements than the target has frequencies.
std::vector<AdapterTensor> fourierft_tensors(const Node& node, const AdapterTarget& target,
                                             const AdapterConfig& config);
std::unique_ptr<LayerAdapter> make_fourierft(const Node& node, const NodeTensors& base, const AdapterTarget& target,
                                             const AdapterConfig& config, at::Generator& generator);

}  // namespace lorikeet
