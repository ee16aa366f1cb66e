// LoRA (Hu et al., 2021, arXiv:2106.09685) on Linear and Conv2d, with PEFT's tensors and arithmetic:
//   Linear: y += s · B(A(dropout x)),  A (r, in),         B (out, r)
//   Conv2d: the same with convolutions, A (r, in, kh, kw) with the layer's stride, padding and dilation,
//           B (out, r / groups, 1, 1) with the layer's groups.
// Of a grouped convolution PEFT's A sees all channels, so that the sum is no grouped convolution and cannot be merged.
// Here A begins and stays zero outside its own group: the same file, the same numbers, and a sum that is grouped. Where
// the groups do not divide the rank, which PEFT refuses, the weight's own matrix (out, in / groups · kh · kw) is
// adapted:
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
  /// What the start took away from the weight (PiSSA, OLoRA), in the shapes of A and B; or undefined. It is never
  /// subtracted from the base, which stays as it was, but from the adapter.
  at::Tensor initial_A;
  at::Tensor initial_B;
  /// PEFT's A of a grouped convolution, trained by PEFT: not zero outside its group.
  bool crosses_groups = false;

  /// LayerAdapter's hooks, for the methods that are LoRA and more.
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

/// New matrices. The network computes what it computed before. Throws UsageError where the start is impossible for the
/// layer.
LoraLayer start_lora(const Node& node, const at::Tensor& weight, const AdapterTarget& target,
                     const AdapterConfig& config, at::Generator& generator);

/// x after dropout, by torch.nn.Dropout's distribution and scale; x itself where nothing is dropped.
at::Tensor dropped(const LowRank& layer, const at::Tensor& x, bool training);

/// What the layer adds to the node's output for input x. Dropout acts only where `training`.
at::Tensor lora_forward(const LoraLayer& layer, const Op& op, const at::Tensor& x, bool training);

/// The first half of that, A(dropout x), in x's element type: what a fused engine starts from. REQUIRES: no groups.
at::Tensor lora_down(const LowRank& layer, const Op& op, const at::Tensor& x, bool training);

/// The layer less what was taken, as one product of twice the rank; the layer itself where nothing was.
LowRank with_initial(const LoraLayer& layer, const Op& op);

/// ΔW in the shape of the node's weight. Throws Error where it crosses a convolution's groups.
at::Tensor lora_delta_weight(const LoraLayer& layer, const Node& node);

/// The same as if the convolution had no groups: (out, in, kh, kw).
at::Tensor lora_dense_delta_weight(const LoraLayer& layer, const Op& op);

/// Whether A is other than zero outside its group.
bool crosses_groups(const at::Tensor& lora_A, const Op& op, std::int64_t rank);

/// The configuration of what is saved: PiSSA and OLoRA become LoRA of twice the rank over the untouched base, and no
/// start is named that PEFT has not for every layer.
AdapterConfig saved_lora_config(const AdapterConfig& config);

std::vector<AdapterTensor> lora_tensors(const Node& node, const AdapterTarget& target, const AdapterConfig& config);
std::unique_ptr<LayerAdapter> make_lora(const Node& node, const NodeTensors& base, const AdapterTarget& target,
                                        const AdapterConfig& config, at::Generator& generator);

}  // namespace lorikeet
