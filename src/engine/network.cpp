#include "engine/network.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>

#include "adapters/lora.h"
#include "adapters/methods.h"
#include "adapters/pattern_table.h"
#include "base/random.h"

namespace lorikeet {
namespace {

// Creates an undefined tensor for each parameter of the graph.
std::vector<NodeTensors> empty_tensors(const Graph& graph) {
  std::vector<NodeTensors> out(graph.nodes().size());
  for (NodeId id = 0; id < out.size(); ++id) {
    for (const auto& parameter : parameters_of(graph.node(id).op)) out[id].set(parameter.name, {});
  }
  return out;
}

}  // namespace

template <typename Visit>
void Network::each_tensor(NodeId id, Visit&& visit) {
  const auto parameters = graph_.parameters(id);
  for (std::size_t i = 0; i < parameters.size(); ++i) visit(parameters[i], (tensors_[id].begin() + i)->second);
}

Network::Network(Graph graph, const NamedTensors& weights) : graph_(std::move(graph)), tensors_(empty_tensors(graph_)) {
  for (NodeId id = 0; id < tensors_.size(); ++id) {
    each_tensor(id, [&](const Parameter& parameter, at::Tensor& tensor) { tensor = *weights.find(parameter.name); });
  }
}

Network::Network(const Adaptation& adaptation, const NamedTensors& base_weights, std::uint64_t seed)
    : graph_(adaptation.graph), tensors_(empty_tensors(graph_)), config_(adaptation.config),
      biases_(adaptation.biases.begin(), adaptation.biases.end()) {
  at::Generator generator = at::detail::createCPUGenerator(seed);
  // Initialisation of nn.Linear: weight and bias U(−1/√in, 1/√in).
  const auto fresh = [&](NodeId id, const Parameter& parameter) {
    const double bound = 1 / std::sqrt(static_cast<double>(std::get<Linear>(graph_.node(id).op).in));
    return at::empty(parameter.shape).uniform_(-bound, bound, generator);
  };
  retrained_.insert(adaptation.retrained.begin(), adaptation.retrained.end());
  retrained_.insert(adaptation.head.begin(), adaptation.head.end());
  if (adaptation.small_output) {
    small_output_ = adaptation.replaced;
    retrained_.erase(*small_output_);
  }
  for (NodeId id = 0; id < tensors_.size(); ++id) {
    const bool is_new = adaptation.replaced == id ||
                        std::find(adaptation.head.begin(), adaptation.head.end(), id) != adaptation.head.end();
    each_tensor(id, [&](const Parameter& parameter, at::Tensor& tensor) {
      const bool is_learned =
          !parameter.buffer && (retrained_.count(id) > 0 || (biases_.count(id) > 0 && parameter.key == "bias"));
      if (small_output_ == id) {
        tensor = at::zeros(parameter.shape);  // the adapter replaces it
      } else if (is_new) {
        tensor = fresh(id, parameter);
      } else {
        tensor = *base_weights.find(parameter.name);
        // Statistics of fully trained modules are loaded together with them.
        if (is_learned || retrained_.count(id) > 0) tensor = tensor.clone();
      }
      tensor.set_requires_grad(is_learned);
    });
  }
  auto adapters = method_of(config_).start({graph_, adaptation.targets}, tensors_, config_, generator);
  for (std::size_t i = 0; i < adapters.size(); ++i) add_adapter(adaptation.targets[i], std::move(adapters[i]));
  if (small_output_) {
    const Node& node = graph_.node(*small_output_);
    add_adapter({*small_output_, /*rank=*/1, /*scaling=*/1},
                make_small_output(*adaptation.small_output, std::get<Linear>(node.op),
                                  *base_weights.find(node.name + ".weight"), generator));
  }
}

void Network::add_adapter(const AdapterTarget& target, std::unique_ptr<LayerAdapter> adapter) {
  for (const auto& part : adapter->parts()) part.tensor->set_requires_grad(part.learned);
  adapters_.emplace(target.node, std::move(adapter));
  targets_.emplace(target.node, target);
}

std::string Network::adapter_key(NodeId id, const std::string& suffix) const {
  return is_shared_tensor(suffix) ? suffix : module_name(graph_, targets_.at(id)) + "." + suffix;
}

std::string Network::own_bias_key(NodeId id) const {
  return adapter(id) != nullptr ? bias_key(module_name(graph_, targets_.at(id)), true)
                                : bias_key(graph_.node(id).name, false);
}

std::vector<std::pair<std::string, at::Tensor>> Network::adapter_parts(bool learned) const {
  std::vector<std::pair<std::string, at::Tensor>> out;
  std::set<std::string> shared;
  for (const auto& [id, adapter] : adapters_) {
    for (const auto& part : adapter->parts()) {
      if (part.learned != learned || (is_shared_tensor(part.suffix) && !shared.insert(part.suffix).second)) continue;
      out.emplace_back(adapter_key(id, part.suffix), *part.tensor);
    }
  }
  return out;
}

const LayerAdapter* Network::adapter(NodeId id) const {
  const auto found = adapters_.find(id);
  return found == adapters_.end() ? nullptr : found->second.get();
}

std::vector<std::pair<std::string, at::Tensor>> Network::trainable() const {
  std::vector<std::pair<std::string, at::Tensor>> out = adapter_parts(/*learned=*/true);
  for (const NodeId id : biases_) out.emplace_back(own_bias_key(id), tensors_[id].bias());
  for (const NodeId id : retrained_) {
    for (const auto& parameter : graph_.parameters(id)) {
      if (!parameter.buffer) out.emplace_back(parameter.name, tensors_[id][parameter.key]);
    }
  }
  return out;
}

// Adds the statistics of the trained modules to `tensors`.
NamedTensors Network::with_buffers(NamedTensors tensors) const {
  for (const auto& [name, tensor] : adapter_parts(/*learned=*/false)) tensors.add(name, tensor);
  for (const NodeId id : retrained_) {
    for (const auto& parameter : graph_.parameters(id)) {
      if (parameter.buffer) tensors.add(parameter.name, tensors_[id][parameter.key]);
    }
  }
  return tensors;
}

NamedTensors Network::adapter_tensors() const {
  NamedTensors out;
  for (const auto& [name, tensor] : trainable()) out.add(name, tensor.detach());
  return with_buffers(std::move(out));
}

void Network::load_adapter_tensors(const NamedTensors& tensors) {
  const at::NoGradGuard no_grad;
  const NamedTensors own = adapter_tensors();
  for (const auto& [name, tensor] : own) tensor.copy_(*tensors.find(name));
  for (auto& [id, adapter] : adapters_) adapter->loaded();
}

NamedTensors Network::state_tensors() const {
  NamedTensors out = adapter_tensors();
  for (const auto& [id, adapter] : adapters_) {
    for (const auto& part : adapter->constants()) out.add(adapter_key(id, part.suffix), *part.tensor);
  }
  return out;
}

void Network::load_state_tensors(const NamedTensors& tensors) {
  const at::NoGradGuard no_grad;
  for (const auto& [name, tensor] : state_tensors()) tensor.copy_(*tensors.find(name));
  for (auto& [id, adapter] : adapters_) adapter->loaded();
}

std::uint64_t Network::fixed_bytes() const {
  std::map<const void*, std::uint64_t> storages;
  const auto count = [&](const at::Tensor& tensor) {
    const at::Storage& storage = tensor.storage();
    storages.emplace(storage.data(), storage.nbytes());
  };
  for (const auto& [id, adapter] : adapters_) {
    for (const auto& part : adapter->parts()) {
      if (!part.learned) count(*part.tensor);
    }
    for (const auto& part : adapter->constants()) count(*part.tensor);
    for (const at::Tensor* tensor : adapter->fixed()) count(*tensor);
  }
  std::uint64_t total = 0;
  for (const auto& [data, bytes] : storages) total += bytes;
  return total;
}

void Network::seed_dropout(std::uint64_t seed) {
  for (auto& [id, adapter] : adapters_) adapter->seed_dropout(derived_seed(seed, id));
}

SavedAdapter Network::saved_adapter() const {
  const at::NoGradGuard no_grad;
  SavedAdapter out{saved_lora_config(config_), adapter_tensors()};
  if (!std::holds_alternative<std::monostate>(config_.bias_modules)) {
    out.config.bias_modules = std::monostate{};
    for (const NodeId id : match_modules(graph_, out.config).biases) {
      if (!is_retrained(id)) out.tensors.add(own_bias_key(id), tensors_[id].bias());
    }
  }
  std::vector<std::string> adapted;
  for (const auto& [id, adapter] : adapters_) {
    if (small_output_ != id) adapted.push_back(graph_.node(id).name);
  }
  make_order_free(out.config, adapted);
  if (!has_exclusions(config_.peft_type) && !std::holds_alternative<std::monostate>(config_.exclude_modules)) {
    std::vector<std::string> targets;
    for (const auto& [id, target] : targets_) {
      if (target.module.empty() && small_output_ != id) targets.push_back(graph_.node(id).name);
    }
    clear_module_filters(out.config);
    out.config.target_modules = exact_targets(graph_, targets);
  }
  for (const auto& [id, adapter] : adapters_) {
    for (auto& [suffix, tensor] : adapter->saved()) out.tensors.set(adapter_key(id, suffix), std::move(tensor));
  }
  if (small_output_) {
    const Node& node = graph_.node(*small_output_);
    out.for_peft.add(node.name + ".weight",
                     adapters_.at(*small_output_)->merged(node, tensors_[*small_output_]).weight().contiguous());
  }
  return out;
}

NamedTensors Network::merged() const {
  const at::NoGradGuard no_grad;
  NamedTensors out;
  for (NodeId id = 0; id < tensors_.size(); ++id) {
    NodeTensors whole = tensors_[id];
    if (const LayerAdapter* own = adapter(id)) whole = own->merged(graph_.node(id), whole);
    for (const auto& parameter : graph_.parameters(id)) out.add(parameter.name, whole[parameter.key].detach());
  }
  return out;
}

void Network::to(at::Device device, MovedTensors* shared) {
  // Trainable tensors stay the same autograd leaves; only their storage moves.
  const auto move = [&](at::Tensor& tensor) {
    const bool learned = tensor.requires_grad();
    tensor = tensor.detach().to(device);
    tensor.set_requires_grad(learned);
  };
  for (NodeId id = 0; id < tensors_.size(); ++id) {
    each_tensor(id, [&](const Parameter&, at::Tensor& tensor) {
      if (shared == nullptr || tensor.requires_grad() || retrained_.count(id) > 0) return move(tensor);
      auto& [original, moved] = (*shared)[tensor.unsafeGetTensorImpl()];
      if (!moved.defined()) {
        original = tensor;
        moved = tensor.to(device);
      }
      tensor = moved;
    });
  }
  std::map<std::string, at::Tensor> moved;  // tensors that layers share
  for (auto& [id, adapter] : adapters_) {
    for (const auto& part : adapter->parts()) {
      if (const auto found = moved.find(part.suffix); found != moved.end()) {
        *part.tensor = found->second;
        continue;
      }
      move(*part.tensor);
      if (is_shared_tensor(part.suffix)) moved.emplace(part.suffix, *part.tensor);
    }
    for (at::Tensor* tensor : adapter->fixed()) *tensor = tensor->to(device);
    adapter->moved(device);
  }
}

}  // namespace lorikeet
