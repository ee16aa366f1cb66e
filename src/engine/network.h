// A graph with its tensors: the frozen base, what is retrained, and the low-rank matrices. One device, any number of
// readers; training writes to the trainable tensors in place.
#pragma once

#include <ATen/core/Tensor.h>

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "adapters/adapt.h"
#include "adapters/lora.h"
#include "graph/graph.h"
#include "graph/reference.h"
#include "io/named_tensors.h"

namespace lorikeet {

class Network {
 public:
  /// The network as it was trained, without adapter. `weights` hold every parameter of the graph, in float32.
  Network(Graph graph, const NamedTensors& weights);

  /// An adapted network whose adapter begins anew: LoRA as PEFT starts it, retrained modules from the base, a replaced
  /// output and the head as PyTorch starts a Linear. The same seed gives the same start.
  Network(const Adaptation& adaptation, const NamedTensors& base_weights, const LoraConfig& config, std::uint64_t seed);

  const Graph& graph() const { return graph_; }
  const NodeTensors& tensors(NodeId id) const { return tensors_[id]; }
  /// Null where the node has no LoRA.
  const LoraLayer* lora(NodeId id) const;
  bool is_retrained(NodeId id) const { return retrained_.count(id) > 0; }
  /// Whether something in the node itself is learned.
  bool is_trained(NodeId id) const { return is_retrained(id) || lora(id) != nullptr; }

  /// What is learned, named as in the adapter's file without "base_model.model."; leaves of autograd, float32.
  std::vector<std::pair<std::string, at::Tensor>> trainable() const;

  /// What the adapter's files hold: trainable() and the buffers of retrained modules.
  NamedTensors adapter_tensors() const;
  /// Copies values in. REQUIRES: check_adapter_tensors passed.
  void load_adapter_tensors(const NamedTensors& tensors);

  /// All parameters of the graph with the low-rank matrices added in, under the graph's names.
  NamedTensors merged() const;

  void to(at::Device device);

 private:
  template <typename Visit>
  void each_tensor(NodeId id, Visit&& visit);

  Graph graph_;
  std::vector<NodeTensors> tensors_;
  std::map<NodeId, LoraLayer> lora_;
  std::set<NodeId> retrained_;
};

}  // namespace lorikeet
