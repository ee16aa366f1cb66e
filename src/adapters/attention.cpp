#include "adapters/attention.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include <algorithm>

#include "adapters/pattern_table.h"
#include "base/error.h"

namespace lorikeet {
namespace {

void rename_keys(NamedTensors& tensors, const std::string& from, const std::string& to) {
  NamedTensors out;
  out.metadata = tensors.metadata;
  for (const auto& [key, tensor] : tensors)
    out.add(key == from || key.starts_with(from + ".") ? to + key.substr(from.size()) : key, tensor);
  tensors = std::move(out);
}

// What rank_pattern or alpha_pattern says of one module, and the same said anew.
double value_of(const PatternTable& table, const std::string& name, double otherwise) {
  const auto found =
      std::find_if(table.begin(), table.end(), [&](const auto& entry) { return entry.first == exact_pattern(name); });
  return found == table.end() ? otherwise : found->second;
}
void set_value(PatternTable& table, const std::string& name, std::optional<double> value, double otherwise) {
  std::erase_if(table, [&](const auto& entry) { return entry.first == exact_pattern(name); });
  if (value && *value != otherwise) table.emplace_back(exact_pattern(name), *value);
}

// LoRA of one of the two layers.
struct AttentionLora {
  at::Tensor A, B;
  double alpha = 0;
};

// With rows and columns of zeros.
AttentionLora of_rank(const AttentionLora& factors, std::int64_t rank) {
  const std::int64_t more = rank - factors.A.size(0);
  return {at::constant_pad_nd(factors.A, {0, 0, 0, more}), at::constant_pad_nd(factors.B, {0, more}), factors.alpha};
}

void join_lora(const Graph& graph, NodeId attention, NodeId out_proj, AdapterFolder& folder) {
  AdapterConfig& config = folder.spec.config;
  const auto lora_of = [&](NodeId id) {
    const std::string& name = graph.node(id).name;
    const at::Tensor *A = folder.tensors.find(name + ".lora_A.weight"),
                     *B = folder.tensors.find(name + ".lora_B.weight");
    if (A == nullptr || B == nullptr) return AttentionLora{};
    return AttentionLora{*A, *B, value_of(config.alpha_pattern, name, config.lora_alpha)};
  };
  AttentionLora in = lora_of(attention), out = lora_of(out_proj);
  // Both read as many features.
  if (!in.A.defined())
    in = {out.A, at::zeros({std::get<Linear>(graph.node(attention).op).out, out.A.size(0)}), out.alpha};
  if (!out.A.defined())
    out = {in.A, at::zeros({std::get<Linear>(graph.node(out_proj).op).out, in.A.size(0)}), in.alpha};
  const std::int64_t rank = std::max(in.A.size(0), out.A.size(0));
  const auto scaling = [&](const AttentionLora& factors, std::int64_t of) {
    return factors.alpha / rank_divisor(config, of);
  };
  const double in_scaling = scaling(in, in.A.size(0)), out_scaling = scaling(out, out.A.size(0));
  const double common = scaling(in, rank);  // of X in the new file; out_proj has twice that
  in = of_rank(in, rank);
  out = of_rank(out, rank);
  const std::string &name = graph.node(attention).name, &out_name = graph.node(out_proj).name;
  folder.tensors.set(name + ".lora_A.weight", in.A);
  folder.tensors.set(name + ".lora_B.weight", in.B * (in_scaling / common));
  folder.tensors.set(out_name + ".lora_A.weight", out.A);
  folder.tensors.set(out_name + ".lora_B.weight", out.B * (out_scaling / (2 * common)));
  set_value(config.rank_pattern, name, static_cast<double>(rank), static_cast<double>(config.r));
  set_value(config.alpha_pattern, name, in.alpha, config.lora_alpha);
}

}  // namespace

std::optional<NodeId> attention_of_out_proj(const Graph& graph, NodeId id) {
  const Node& out_proj = graph.node(id);
  if (!std::holds_alternative<Linear>(out_proj.op)) return std::nullopt;
  const Node& attention = graph.node(out_proj.inputs[0]);
  if (!std::holds_alternative<Attention>(attention.op) || attention.inputs.size() != 1) return std::nullopt;
  const NodeId id_of_in_proj = attention.inputs[0];
  const Node& in_proj = graph.node(id_of_in_proj);
  if (in_proj.tensor_prefix != "in_proj_" || out_proj.name != in_proj.name + ".out_proj") return std::nullopt;
  return id_of_in_proj;
}

std::optional<NodeId> out_proj_of_attention(const Graph& graph, NodeId id) {
  const auto out_proj = graph.find(graph.node(id).name + ".out_proj");
  if (!out_proj || attention_of_out_proj(graph, *out_proj) != id) return std::nullopt;
  return out_proj;
}

void join_attention(const Graph& graph, std::vector<std::string>& targets, AdapterFolder& folder) {
  AdapterConfig& config = folder.spec.config;
  const auto is_target = [&](NodeId id) {
    return std::find(targets.begin(), targets.end(), graph.node(id).name) != targets.end();
  };
  for (NodeId id = 0; id < graph.nodes().size(); ++id) {
    const auto out_proj = out_proj_of_attention(graph, id);
    if (!out_proj || (!is_target(id) && !is_target(*out_proj))) continue;
    const std::string &name = graph.node(id).name, &out_name = graph.node(*out_proj).name;
    if (config.peft_type == PeftType::kLora && !config.use_dora && !config.lora_bias) {
      join_lora(graph, id, *out_proj, folder);
    } else if (!is_target(id) || !is_target(*out_proj) ||
               value_of(config.rank_pattern, name, 0) != value_of(config.rank_pattern, out_name, 0) ||
               value_of(config.alpha_pattern, name, 0) != value_of(config.alpha_pattern, out_name, 0)) {
      fail(name, ": got ",
           config.use_dora    ? "DoRA"
           : config.lora_bias ? "lora_bias"
                              : "an adapter other than LoRA",
           is_target(id) ? "" : cat(" on ", out_name, " alone"), is_target(*out_proj) ? "" : " on in_proj alone",
           ", expected one on in_proj and ", out_name,
           " with the same rank and alpha, or LoRA without lora_bias. PEFT adapts both of torchvision's attention "
           "together, and only LoRA can leave one unchanged.");
    }
    set_value(config.rank_pattern, out_name, std::nullopt, 0);
    set_value(config.alpha_pattern, out_name, std::nullopt, 0);
    std::erase(targets, out_name);
    if (!is_target(id)) targets.push_back(name);
    rename_keys(folder.tensors, out_name, out_proj_module(name));
    rename_keys(folder.tensors, out_proj_module(name) + ".bias", out_proj_module(name) + ".base_layer.bias");
  }
}

std::string out_proj_module(const std::string& attention) { return attention + ".base_layer.out_proj"; }

}  // namespace lorikeet
