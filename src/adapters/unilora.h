// UniLoRA (Li et al., 2025, arXiv:2506.00799), with PEFT's tensors and arithmetic: y += B(A(dropout x)), where every
// element of the matrices A (r, columns) and B (out, r) of all layers is an element of one learned vector
// `unilora_theta_d`, divided by the square root of the number of its uses: a projection of the vector into the space of
// LoRA that keeps distances. Columns = in, or in / groups · kh · kw of a convolution, which PEFT does not adapt.
//
// Which element it is follows from proj_seed (base/numpy_random.h): the layers in the order in which the library
// registers its modules, A before B, take the next numbers of one shuffled list. With save_indices the indices and the
// divisors are part of the file.
#pragma once

#include <ATen/core/Generator.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "adapters/adapter_config.h"
#include "adapters/layer_adapter.h"
#include "adapters/methods.h"

namespace lorikeet {

/// Throws UsageError if A and B of all layers have more than 2^26 elements.
std::vector<Parameter> unilora_tensors(const AdaptedLayers& layers, const AdapterConfig& config);
/// The number of elements of A and B of all layers: a longer vector has numbers that are not used. Throws as above.
std::int64_t unilora_elements(const AdaptedLayers& layers, const AdapterConfig& config);
std::vector<std::unique_ptr<LayerAdapter>> start_unilora(const AdaptedLayers& layers,
                                                         const std::vector<NodeTensors>& base,
                                                         const AdapterConfig& config, at::Generator& generator);

/// Whether the key is that of a tensor of indices, which are integers: "fc.unilora_indices_A".
bool is_index_tensor(std::string_view key);

/// Throws Error, which `where` begins, unless the tensor holds integers from 0 to below theta_d_length.
void check_index_tensor(const std::string& key, const at::Tensor& tensor, const AdapterConfig& config,
                        const std::string& where);

}  // namespace lorikeet
