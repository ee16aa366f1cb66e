// A graph with its tensors: the frozen base, fully trained modules and adapters, all on one device. Any number of
// threads may read it. Training writes to the trainable tensors in place.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "adapters/adapt.h"
#include "adapters/layer_adapter.h"
#include "graph/graph.h"
#include "io/named_tensors.h"

namespace lorikeet {

/// An adapter as written to files: the configuration and the tensors.
struct SavedAdapter {
  AdapterConfig config;
  /// Names as in the files, without "base_model.model.".
  NamedTensors tensors;
  /// Tensors that PEFT's file also needs: the dense weight of a small output.
  NamedTensors for_peft = {};
};

/// Copies on another device, each beside what it is a copy of, by which they are found. Networks that are moved with
/// the same ones share the copies of what they share: their frozen tensors.
using MovedTensors = std::map<const at::TensorImpl*, std::pair<at::Tensor, at::Tensor>>;

class Network {
 public:
  /// A pretrained network without an adapter. `weights` contains every parameter of the graph, in float32.
  Network(Graph graph, const NamedTensors& weights);

  /// A network with a new adapter. The adapter is initialised by its method, fully trained modules start as copies of
  /// the base, and a replaced output or a head as PyTorch initialises Linear. The result depends only on `seed`.
  Network(const Adaptation& adaptation, const NamedTensors& base_weights, std::uint64_t seed);

  const Graph& graph() const { return graph_; }
  const NodeTensors& tensors(NodeId id) const { return tensors_[id]; }
  /// Null if the node has no adapter.
  const LayerAdapter* adapter(NodeId id) const;
  /// Whether tensors of the node itself are trained: all or the bias.
  bool is_retrained(NodeId id) const { return retrained_.count(id) > 0 || biases_.count(id) > 0; }
  /// Whether the node has any trainable tensors, including an adapter's.
  bool is_trained(NodeId id) const { return is_retrained(id) || adapter(id) != nullptr; }

  /// The trainable tensors: float32 leaves of autograd, named as in the adapter file without "base_model.model.".
  std::vector<std::pair<std::string, at::Tensor>> trainable() const;

  /// The adapter's state: trainable() and the statistics that belong to it, with the same naming.
  NamedTensors adapter_tensors() const;
  /// Copies the values of such tensors. REQUIRES: check_adapter_tensors passed.
  void load_adapter_tensors(const NamedTensors& tensors);
  /// adapter_tensors() and the constants set at initialisation (PiSSA's and OLoRA's initial matrices): everything that
  /// a new network of the same adaptation needs to continue from this one. The tensors share the network's memory.
  NamedTensors state_tensors() const;
  /// Copies the values of such tensors. REQUIRES: the names and shapes of state_tensors().
  void load_state_tensors(const NamedTensors& tensors);
  /// Bytes of the adapters' tensors that are not learned, saved or not. Tensors that share memory count once.
  std::uint64_t fixed_bytes() const;
  /// Seeds dropout: its masks are a function of `seed`, the layer and the number of runs since this call.
  void seed_dropout(std::uint64_t seed);
  /// Returns the adapter to save: adapter_tensors() and its configuration, converted if the initialisation requires it.
  SavedAdapter saved_adapter() const;

  /// Returns all parameters of the graph with the adapters merged, under the graph's names. Throws Error if an adapter
  /// cannot be merged.
  NamedTensors merged() const;

  /// `shared`, if there are any, must be of the same device.
  void to(at::Device device, MovedTensors* shared = nullptr);

 private:
  /// The key of a tensor of the node's adapter.
  std::string adapter_key(NodeId id, const std::string& suffix) const;
  /// The key of the node's own bias.
  std::string own_bias_key(NodeId id) const;
  /// The adapters' parts that are learned, or those that are not, with their keys; each shared tensor once.
  std::vector<std::pair<std::string, at::Tensor>> adapter_parts(bool learned) const;
  template <typename Visit>
  void each_tensor(NodeId id, Visit&& visit);
  NamedTensors with_buffers(NamedTensors tensors) const;
  void add_adapter(const AdapterTarget& target, std::unique_ptr<LayerAdapter> adapter);

  Graph graph_;
  std::vector<NodeTensors> tensors_;
  AdapterConfig config_;
  std::map<NodeId, std::unique_ptr<LayerAdapter>> adapters_;
  std::map<NodeId, AdapterTarget> targets_;  // of adapters_
  std::optional<NodeId> small_output_;       // one of adapters_, which PEFT's configuration does not contain
  std::set<NodeId> biases_;                  // nodes of which only the bias is learned
  std::set<NodeId> retrained_;               // whole nodes
};

}  // namespace lorikeet
