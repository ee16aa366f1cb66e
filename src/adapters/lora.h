// LoRA (Hu et al., 2021, arXiv:2106.09685) for Linear and Conv2d, with PEFT's tensors and arithmetic:
//   Linear: y += s · B(A(dropout x)),  A (r, in),         B (out, r)
//   Conv2d: the same with convolutions, A (r, in, kh, kw) with the layer's stride, padding and dilation,
//           B (out, r / groups, 1, 1) with the layer's groups.
// For a grouped convolution, PEFT's A reads all channels, so the sum is not a grouped convolution and cannot be merged.
// Here, A is and stays zero outside its own group: the file format and the results are the same, and the sum is
// grouped. If the groups do not divide the rank, which PEFT rejects, the weight's matrix (out, in / groups · kh · kw)
// is adapted:
//           A (r, in / groups, kh, kw), B (out, r, 1, 1).
#pragma once

#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "adapters/adapter_config.h"
#include "adapters/layer_adapter.h"
#include "adapters/matching.h"
#include "graph/graph.h"

namespace lorikeet {

struct LoraLayer : LowRank {
  /// B's own bias (out,), or undefined.
  at::Tensor lora_bias;
  /// The initial matrices of PiSSA and OLoRA in the shapes of A and B; otherwise undefined. They are subtracted from
  /// the adapter instead of the base, which stays unchanged.
  at::Tensor initial_A;
  at::Tensor initial_B;
  /// Whether A of a grouped convolution is non-zero outside its group, as in adapters trained by PEFT.
  bool crosses_groups = false;

  /// LayerAdapter's hooks, also used by methods that extend LoRA.
  void loaded(const Op& op);
  void moved(at::Device device);
  void seed_dropout(std::uint64_t seed);
  std::vector<LayerAdapter::Part> constants();
};

/// The shapes of lora_A and lora_B.
struct LoraShapes {
  std::vector<std::int64_t> lora_A;
  std::vector<std::int64_t> lora_B;
};
LoraShapes lora_shapes(const Node& node, std::int64_t rank);

/// Initialises new matrices that leave the network's output unchanged. Throws UsageError if the layer does not support
/// the initialisation.
LoraLayer start_lora(const Node& node, const at::Tensor& weight, const AdapterTarget& target,
                     const AdapterConfig& config, at::Generator& generator);

/// Seeds the generator of dropout masks; creates it if it is undefined or belongs to another type of device.
void seed_generator(at::Generator& generator, at::Device device, std::uint64_t seed);

/// Applies dropout with torch.nn.Dropout's distribution and scale. Returns x if nothing is dropped.
at::Tensor dropped(const LowRank& layer, const at::Tensor& x, bool training);

/// Returns the term that the adapter adds to the node's output for x. Dropout is active only if `training`.
at::Tensor lora_forward(const LoraLayer& layer, const Op& op, const at::Tensor& x, bool training);

/// Returns the first half, A(dropout x), in x's element type, for the fused engine. REQUIRES: no groups.
at::Tensor lora_down(const LowRank& layer, const Op& op, const at::Tensor& x, bool training);

/// Returns the layer minus its initial matrices as one product of twice the rank, or the layer itself without such
/// matrices.
LowRank with_initial(const LoraLayer& layer, const Op& op);

/// Returns ΔW in the shape of the node's weight. Throws Error if it crosses a convolution's groups.
at::Tensor lora_delta_weight(const LoraLayer& layer, const Node& node);

/// The same for the equivalent convolution without groups: (out, in, kh, kw).
at::Tensor lora_dense_delta_weight(const LoraLayer& layer, const Op& op);

/// Whether A is non-zero outside its group.
bool crosses_groups(const at::Tensor& lora_A, const Op& op, std::int64_t rank);

/// Returns the configuration to save: PiSSA and OLoRA become LoRA of twice the rank for the unchanged base, and
/// init_lora_weights is one that PEFT supports for every layer.
AdapterConfig saved_lora_config(const AdapterConfig& config);

std::vector<AdapterTensor> lora_tensors(const Node& node, const AdapterTarget& target, const AdapterConfig& config);
std::unique_ptr<LayerAdapter> make_lora(const Node& node, const NodeTensors& base, const AdapterTarget& target,
                                        const AdapterConfig& config, at::Generator& generator);

}  // namespace lorikeet
