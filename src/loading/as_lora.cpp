#include "loading/as_lora.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <set>
#include <vector>

#include "adapters/attention.h"
#include "adapters/explicit_lora.h"
#include "adapters/lora.h"
#include "adapters/low_rank_adapter.h"
#include "adapters/methods.h"
#include "adapters/weight_adapter.h"
#include "base/error.h"

namespace lorikeet {
namespace {

// PEFT's matrices of a grouped convolution: each group has its own rows of A, which are zero outside its channels.
// Where a group has fewer outputs than the rank, its rows are those of ΔW itself.
Factors grouped_factors(const at::Tensor& A, const at::Tensor& B, const Conv2d& conv) {
  const std::int64_t groups = conv.groups, rank = A.size(0), outputs = conv.out / groups, channels = conv.in / groups;
  const std::int64_t rows = std::min(rank, outputs);
  const LoraShapes shapes = lora_shapes({"", conv, {0}}, rows * groups);
  at::Tensor lora_A = at::zeros({groups, rows, groups, channels, conv.kernel[0], conv.kernel[1]});
  at::Tensor lora_B = at::empty({conv.out, rows});
  for (std::int64_t g = 0; g < groups; ++g) {
    const at::Tensor own_B = B.slice(0, g * outputs, (g + 1) * outputs);
    const at::Tensor own_A = rows == rank ? A : at::mm(own_B, A);
    lora_A.select(0, g).select(1, g).copy_(own_A.view({rows, channels, conv.kernel[0], conv.kernel[1]}));
    lora_B.slice(0, g * outputs, (g + 1) * outputs).copy_(rows == rank ? own_B : at::eye(outputs));
  }
  return {lora_A.reshape(shapes.lora_A), lora_B.reshape(shapes.lora_B)};
}

Factors factors_of(const LowRankAdapter& adapter, const Op& op) {
  const LowRank product = adapter.product();
  const at::Tensor A = product.lora_A.cpu().to(at::kFloat), B = product.lora_B.cpu().to(at::kFloat) * product.scaling;
  if (weight_shape(op).groups != 1) return grouped_factors(A.flatten(1), B.flatten(1), std::get<Conv2d>(op));
  return {A.contiguous(), B.contiguous()};
}

}  // namespace

AdapterFolder as_lora(const Network& network, const AdapterFolder& folder, const Graph& base) {
  const at::NoGradGuard no_grad;
  const Adaptation adaptation = adapt(base, folder.spec);
  const Method& method = method_of(adaptation.config);
  std::vector<ExplicitLayer> layers;
  for (const AdapterTarget& target : adaptation.targets) {
    const Node& node = base.node(target.node);
    const auto* adapter = dynamic_cast<const LowRankAdapter*>(network.adapter(target.node));
    if (adapter == nullptr) {
      fail(node.name, ": got ", method.name,
           ", expected a method that adds a product of two matrices which PEFT does not have. Others cannot be written "
           "as LoRA exactly, or PEFT opens them.");
    }
    if (out_proj_of_attention(base, target.node) || !target.module.empty())
      fail(node.name, ": got ", method.name, " on a torch.nn.MultiheadAttention, which PEFT adapts as one module.");
    layers.push_back({node.name, factors_of(*adapter, node.op)});
  }

  AdapterFolder out;
  out.metadata = folder.metadata;
  if (out.metadata && out.metadata->training.is_object())  // A and B have more, which were not trained
    out.metadata->training.emplace("trainable_parameters", count_trainable(adaptation));
  out.spec.output_classes = folder.spec.output_classes;
  out.spec.small_output = folder.spec.small_output;
  out.spec.head = folder.spec.head;
  AdapterConfig& config = out.spec.config;  // LoRA's
  config.base_model_name_or_path = folder.spec.config.base_model_name_or_path;
  config.modules_to_save = folder.spec.config.modules_to_save;
  if (folder.spec.config.bias != TrainedBias::kNone)
    config.bias = folder.spec.config.bias == TrainedBias::kAll ? TrainedBias::kAll : TrainedBias::kLoraOnly;
  std::set<std::string> own;  // of the method
  for (const Parameter& parameter : method.tensors({base, adaptation.targets}, adaptation.config))
    own.insert(parameter.name);
  SavedAdapter saved = network.saved_adapter();
  for (const auto& [name, tensor] : saved.tensors) {
    if (own.count(name) == 0) out.tensors.add(name, tensor.cpu());
  }
  out.for_peft = std::move(saved.for_peft);
  put_layers(layers, base, out);
  return out;
}

}  // namespace lorikeet
