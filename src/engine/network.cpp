#include "engine/network.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cassert>
#include <cmath>

namespace lorikeet {
namespace {

at::Tensor& member(NodeTensors& tensors, const std::string& suffix) {
  if (suffix == "weight") return tensors.weight;
  if (suffix == "bias") return tensors.bias;
  if (suffix == "running_mean") return tensors.running_mean;
  assert(suffix == "running_var");
  return tensors.running_var;
}

std::string suffix_of(const Parameter& parameter) { return parameter.name.substr(parameter.name.rfind('.') + 1); }

}  // namespace

template <typename Visit>
void Network::each_tensor(NodeId id, Visit&& visit) {
  for (const auto& parameter : graph_.parameters(id)) visit(parameter, member(tensors_[id], suffix_of(parameter)));
}

Network::Network(Graph graph, const NamedTensors& weights) : graph_(std::move(graph)), tensors_(graph_.nodes().size()) {
  for (NodeId id = 0; id < tensors_.size(); ++id) {
    each_tensor(id, [&](const Parameter& parameter, at::Tensor& tensor) { tensor = *weights.find(parameter.name); });
  }
}

Network::Network(const Adaptation& adaptation, const NamedTensors& base_weights, const LoraConfig& config, std::uint64_t seed)
    : graph_(adaptation.graph), tensors_(graph_.nodes().size()) {
  at::Generator generator = at::detail::createCPUGenerator(seed);
  // nn.Linear's start: both weight and bias U(−1/√in, 1/√in).
  const auto fresh = [&](NodeId id, const Parameter& parameter) {
    const double bound = 1 / std::sqrt(static_cast<double>(std::get<Linear>(graph_.node(id).op).in));
    return at::empty(parameter.shape).uniform_(-bound, bound, generator);
  };
  retrained_.insert(adaptation.retrained.begin(), adaptation.retrained.end());
  retrained_.insert(adaptation.head.begin(), adaptation.head.end());
  for (NodeId id = 0; id < tensors_.size(); ++id) {
    const bool is_new = adaptation.replaced == id || std::find(adaptation.head.begin(), adaptation.head.end(), id) != adaptation.head.end();
    each_tensor(id, [&](const Parameter& parameter, at::Tensor& tensor) {
      if (is_new) {
        tensor = fresh(id, parameter);
      } else {
        tensor = *base_weights.find(parameter.name);
        if (is_retrained(id)) tensor = tensor.clone();
      }
      tensor.set_requires_grad(is_retrained(id) && !parameter.buffer);
    });
  }
  for (const auto& target : adaptation.targets) {
    LoraLayer layer = start_lora(graph_.node(target.node), target, config, generator);
    layer.lora_A.set_requires_grad(true);
    layer.lora_B.set_requires_grad(true);
    lora_.emplace(target.node, std::move(layer));
  }
}

const LoraLayer* Network::lora(NodeId id) const {
  const auto found = lora_.find(id);
  return found == lora_.end() ? nullptr : &found->second;
}

std::vector<std::pair<std::string, at::Tensor>> Network::trainable() const {
  std::vector<std::pair<std::string, at::Tensor>> out;
  for (const auto& [id, layer] : lora_) {
    out.emplace_back(graph_.node(id).name + ".lora_A.weight", layer.lora_A);
    out.emplace_back(graph_.node(id).name + ".lora_B.weight", layer.lora_B);
  }
  for (const NodeId id : retrained_) {
    for (const auto& parameter : graph_.parameters(id)) {
      if (!parameter.buffer) out.emplace_back(parameter.name, member(const_cast<NodeTensors&>(tensors_[id]), suffix_of(parameter)));
    }
  }
  return out;
}

NamedTensors Network::adapter_tensors() const {
  NamedTensors out;
  for (const auto& [name, tensor] : trainable()) out.add(name, tensor.detach());
  for (const NodeId id : retrained_) {
    if (!std::holds_alternative<BatchNorm2d>(graph_.node(id).op)) continue;
    out.add(graph_.node(id).name + ".running_mean", tensors_[id].running_mean);
    out.add(graph_.node(id).name + ".running_var", tensors_[id].running_var);
  }
  return out;
}

void Network::load_adapter_tensors(const NamedTensors& tensors) {
  const at::NoGradGuard no_grad;
  const NamedTensors own = adapter_tensors();
  for (const auto& [name, tensor] : own) tensor.copy_(*tensors.find(name));
}

NamedTensors Network::merged() const {
  const at::NoGradGuard no_grad;
  NamedTensors out;
  for (NodeId id = 0; id < tensors_.size(); ++id) {
    for (const auto& parameter : graph_.parameters(id)) {
      const at::Tensor tensor = member(const_cast<NodeTensors&>(tensors_[id]), suffix_of(parameter)).detach();
      const LoraLayer* layer = lora(id);
      const bool adds = layer != nullptr && suffix_of(parameter) == "weight";
      out.add(parameter.name, adds ? tensor + lora_delta_weight(*layer, graph_.node(id)) : tensor);
    }
  }
  return out;
}

void Network::to(at::Device device) {
  // Trainable tensors stay leaves: their storage moves, not their identity.
  const auto move = [&](at::Tensor& tensor) {
    const bool learned = tensor.requires_grad();
    tensor = tensor.detach().to(device);
    tensor.set_requires_grad(learned);
  };
  for (NodeId id = 0; id < tensors_.size(); ++id) {
    each_tensor(id, [&](const Parameter&, at::Tensor& tensor) { move(tensor); });
  }
  for (auto& [id, layer] : lora_) {
    move(layer.lora_A);
    move(layer.lora_B);
  }
}

}  // namespace lorikeet
