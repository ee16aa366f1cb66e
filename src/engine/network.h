// A graph with its tensors: the frozen base, what is retrained, and the adapters of its layers. One device, any number
// of readers; training writes to the trainable tensors in place.
#pragma once

#include <ATen/core/Tensor.h>

#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "adapters/adapt.h"
#include "adapters/layer_adapter.h"
#include "graph/graph.h"
#include "io/named_tensors.h"

namespace lorikeet {

/// An adapter as its files hold it: the tensors, and the configuration that gives them their meaning.
struct SavedAdapter {
  AdapterConfig config;
  /// Named as in the files, without "base_model.model.".
  NamedTensors tensors;
};

/// Copies on another device, each beside what it is a copy of, by which they are found. Networks that are moved with
/// the same ones share the copies of what they share: their frozen tensors.
using MovedTensors = std::map<const at::TensorImpl*, std::pair<at::Tensor, at::Tensor>>;

class Network {
 public:
  /// The network as it was trained, without adapter. `weights` hold every parameter of the graph, in float32.
  Network(Graph graph, const NamedTensors& weights);

  /// An adapted network whose adapter begins anew: its method's start, retrained modules from the base, a replaced
  /// output and the head as PyTorch starts a Linear. The same seed gives the same start.
  Network(const Adaptation& adaptation, const NamedTensors& base_weights, std::uint64_t seed);

  const Graph& graph() const { return graph_; }
  const NodeTensors& tensors(NodeId id) const { return tensors_[id]; }
  /// Null where the node has none.
  const LayerAdapter* adapter(NodeId id) const;
  /// Whether tensors(id) are learned, all of them or the bias.
  bool is_retrained(NodeId id) const { return retrained_.count(id) > 0 || biases_.count(id) > 0; }
  /// Whether something in the node itself is learned.
  bool is_trained(NodeId id) const { return is_retrained(id) || adapter(id) != nullptr; }

  /// What is learned, named as in the adapter's file without "base_model.model."; leaves of autograd, float32.
  std::vector<std::pair<std::string, at::Tensor>> trainable() const;

  /// trainable() and the statistics beside it: the adapter's state, named likewise.
  NamedTensors adapter_tensors() const;
  /// Copies such values in. REQUIRES: check_adapter_tensors passed.
  void load_adapter_tensors(const NamedTensors& tensors);
  /// adapter_tensors() and what the start fixed for good (PiSSA's and OLoRA's initial matrices): all that a new network
  /// of the same adaptation needs to go on as this one. They share the network's memory.
  NamedTensors state_tensors() const;
  /// Copies such values in. REQUIRES: the names and shapes of state_tensors().
  void load_state_tensors(const NamedTensors& tensors);
  /// Dropout's masks are from now on a function of `seed`, of the layer and of how often it ran since.
  void seed_dropout(std::uint64_t seed);
  /// For most methods adapter_tensors(), and the configuration that the network was adapted with.
  SavedAdapter saved_adapter() const;

  /// All parameters of the graph with the adapters in them, under the graph's names. Throws Error where that cannot be.
  NamedTensors merged() const;

  /// `shared`, if there are any, must be of the same device.
  void to(at::Device device, MovedTensors* shared = nullptr);

 private:
  /// The key of a tensor of the node's adapter.
  std::string adapter_key(NodeId id, const std::string& suffix) const;
  template <typename Visit>
  void each_tensor(NodeId id, Visit&& visit);
  NamedTensors with_buffers(NamedTensors tensors) const;

  Graph graph_;
  std::vector<NodeTensors> tensors_;
  AdapterConfig config_;
  std::map<NodeId, std::unique_ptr<LayerAdapter>> adapters_;
  std::map<NodeId, AdapterTarget> targets_;  // of adapters_
  std::set<NodeId> biases_;                  // nodes of which only the bias is learned
  std::set<NodeId> retrained_;               // whole nodes
};

}  // namespace lorikeet
