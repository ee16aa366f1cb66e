#include "adapters/combine.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>

#include "adapters/attention.h"
#include "adapters/explicit_lora.h"
#include "adapters/lora.h"
#include "base/error.h"

namespace lorikeet {
namespace {

// The LoRA matrices of one adapter for a layer.
struct Part {
  LoraLayer layer;
  double weight;
  std::string adapter;
};

// Whether convert --as-lora writes it as LoRA (loading/as_lora.h).
bool is_product(PeftType type) {
  return type == PeftType::kLoraXs || type == PeftType::kTinyLora || type == PeftType::kVera ||
         type == PeftType::kUniLora;
}

void check_plain(const WeightedAdapter& adapter) {
  const AdapterConfig& config = adapter.folder.spec.config;
  const bool is_plain = config.peft_type == PeftType::kLora && !config.use_dora && !config.lora_bias &&
                        config.bias == TrainedBias::kNone && config.init_lora_weights != LoraStart::kPissa &&
                        config.init_lora_weights != LoraStart::kOlora;
  if (is_plain) return;
  fail(adapter.name, ": got ", name_of(config.peft_type), config.peft_type == PeftType::kLora ? " with options" : "",
       ", expected plain LoRA. ",
       is_product(config.peft_type) ? "Convert it with 'lorikeet convert ADAPTER --as-lora --out NEW'."
                                    : "Other methods cannot be added.");
}

void check_same_base(const WeightedAdapter& first, const WeightedAdapter& other) {
  const auto &a = first.folder.metadata, &b = other.folder.metadata;
  if (a && b && a->base_sha256 != b->base_sha256) {
    fail(other.name, ": got an adapter of ", b->base_weights, " (", b->base_sha256.substr(0, 16),
         "…), expected one of ", a->base_weights, " (", a->base_sha256.substr(0, 16), "…), as ", first.name, " is.");
  }
}

void check_not_retrained(const std::string& layer, const std::vector<std::string>& modules_to_save,
                         const std::string& adapter) {
  for (const auto& entry : modules_to_save) {
    if (is_saved(layer, entry)) {
      fail(adapter, ": got LoRA on ", layer,
           ", which another adapter fully trains, expected one of the two. Fully trained modules and LoRA cannot be "
           "added.");
    }
  }
}

at::Tensor sum_of(const std::vector<Part>& parts, const Node& node) {
  at::Tensor sum;
  for (const Part& part : parts) {
    LoraLayer exact = part.layer;
    exact.lora_A = exact.lora_A.to(at::kDouble);
    exact.lora_B = exact.lora_B.to(at::kDouble);
    const at::Tensor delta = lora_delta_weight(exact, node) * part.weight;
    sum = sum.defined() ? sum + delta : delta;
  }
  return sum;
}

bool has_groups(const Op& op) { return std::holds_alternative<Conv2d>(op) && std::get<Conv2d>(op).groups > 1; }

Factors side_by_side(const std::vector<Part>& parts) {
  std::vector<at::Tensor> A, B;
  for (const Part& part : parts) {
    A.push_back(part.layer.lora_A.to(at::kFloat));
    B.push_back(part.layer.lora_B.to(at::kFloat) * (part.weight * part.layer.scaling));
  }
  return {at::cat(A, 0), at::cat(B, 1), 0};
}

Factors combined(const std::vector<Part>& parts, const Node& node, Combination how, std::int64_t rank) {
  // With groups, each group has its own rows of A, so the sum is computed and factorised instead.
  if (how == Combination::kCat && !has_groups(node.op)) return side_by_side(parts);
  return factorise(sum_of(parts, node), node.op, how == Combination::kSvd ? rank : 0);
}

bool trains_in_full(const AdapterFolder& folder, const std::string& module) {
  const auto& saved = folder.spec.config.modules_to_save;
  return std::any_of(saved.begin(), saved.end(), [&](const std::string& entry) { return is_saved(module, entry); });
}

std::string output_text(const AdapterFolder& folder) {
  const auto& small = folder.spec.small_output;
  return small ? "the head " + json_text(small_output_json(*small)) : "a dense output";
}

// Copies tensors other than LoRA's: fully trained modules and heads, which cannot be added.
void take_over(const WeightedAdapter& from, const std::vector<std::string>& lora_keys, const std::string& output,
               AdapterFolder& into) {
  if (trains_in_full(into, output) && trains_in_full(from.folder, output) &&
      into.spec.small_output != from.folder.spec.small_output) {
    fail(from.name, ": got ", output_text(from.folder), ", expected ", output_text(into),
         ", as in the adapters before it. Heads cannot be combined.");
  }
  for (const auto& [key, tensor] : from.folder.tensors) {
    if (std::find(lora_keys.begin(), lora_keys.end(), key) != lora_keys.end()) continue;
    const at::Tensor* other = into.tensors.find(key);
    if (other == nullptr) {
      into.tensors.add(key, tensor);
    } else if (other->sizes() != tensor.sizes() || !at::equal(*other, tensor)) {
      fail(from.name, ": got another '", key,
           "' than the adapters before it, expected the same. Fully trained modules and heads cannot be combined.");
    }
  }
  for (const auto& entry : from.folder.spec.config.modules_to_save) {
    auto& saved = into.spec.config.modules_to_save;
    if (std::find(saved.begin(), saved.end(), entry) == saved.end()) saved.push_back(entry);
  }
  if (!into.spec.output_classes) into.spec.output_classes = from.folder.spec.output_classes;
  if (!into.spec.small_output) {
    into.spec.small_output = from.folder.spec.small_output;
    into.for_peft = from.folder.for_peft;
  }
  if (!into.spec.head) into.spec.head = from.folder.spec.head;
}

}  // namespace

Combined combine(const std::vector<WeightedAdapter>& adapters, const Graph& base, Combination how, std::int64_t rank) {
  if (adapters.empty()) fail_usage("combine: got no adapter, expected one or more.");
  if (how == Combination::kSvd && rank < 1) fail_usage("rank: got ", rank, " for svd, expected 1 or more.");
  const at::NoGradGuard no_grad;
  Combined out;
  std::vector<std::vector<Part>> parts(base.nodes().size());
  for (const WeightedAdapter& adapter : adapters) {
    check_plain(adapter);
    check_same_base(adapters.front(), adapter);
    AdapterFolder folder = adapter.folder;
    infer_output_classes(folder, base);
    const Adaptation adaptation = adapt(base, folder.spec);
    check_adapter_tensors(folder.tensors, adaptation, adapter.name);
    std::vector<std::string> lora_keys;
    for (const auto& target : adaptation.targets) {
      const std::string name = base.node(target.node).name;
      if (out_proj_of_attention(base, target.node) || !target.module.empty())
        fail(adapter.name, ": got LoRA on ", name,
             ", a torch.nn.MultiheadAttention, whose adapters cannot be combined.");
      LoraLayer layer;
      for (const auto& [suffix, tensor] :
           {std::pair(".lora_A.weight", &layer.lora_A), std::pair(".lora_B.weight", &layer.lora_B)}) {
        lora_keys.push_back(name + suffix);
        *tensor = *folder.tensors.find(lora_keys.back());
      }
      layer.scaling = target.scaling;
      layer.crosses_groups = crosses_groups(layer.lora_A, base.node(target.node).op, target.rank);
      parts[target.node].push_back({std::move(layer), adapter.weight, adapter.name});
    }
    if (!out.folder.metadata) out.folder.metadata = folder.metadata;
    take_over({adapter.name, adapter.weight, std::move(folder)}, lora_keys, base.node(base.output()).name, out.folder);
  }
  std::vector<ExplicitLayer> layers;
  for (NodeId id = 0; id < parts.size(); ++id) {
    if (parts[id].empty()) continue;
    const Node& node = base.node(id);
    check_not_retrained(node.name, out.folder.spec.config.modules_to_save, parts[id].front().adapter);
    Factors factors = combined(parts[id], node, how, rank);
    out.layers.push_back({node.name, factors.rank(), factors.error});
    layers.push_back({node.name, std::move(factors)});
  }
  out.folder.spec.config.base_model_name_or_path = adapters.front().folder.spec.config.base_model_name_or_path;
  put_layers(layers, base, out.folder);
  return out;
}

}  // namespace lorikeet
