// Small adapted networks for the tests of this directory.
#pragma once

#include <ATen/core/grad_mode.h>

#include <string>
#include <utility>
#include <vector>

#include "engine/network.h"
#include "graph/small_graphs.h"

namespace lorikeet {

/// A spec with LoRA of rank 2 on what the expression matches ("": nowhere) and these modules retrained.
inline AdapterSpec spec_for(const std::string& targets, std::vector<std::string> saved = {}) {
  AdapterSpec spec;
  spec.config.r = 2;
  if (!targets.empty()) spec.config.target_modules = targets;
  spec.config.modules_to_save = std::move(saved);
  return spec;
}

/// One of everything: LoRA, a retrained BatchNorm, a retrained output and a head.
inline AdapterSpec full_spec() {
  AdapterSpec spec = spec_for(R"(layer1\.[12]\.conv[23])", {"fc", "layer1.2.bn1"});
  spec.head = Head{{7}, 4, Activation::kRelu};
  return spec;
}

/// As if it had been trained: no tensor is at its start, lora_B least of all.
inline Network trained_network(const AdapterSpec& spec, std::uint64_t seed = 1, const Graph& base = small_resnet()) {
  Network network(adapt(base, spec), random_weights(base, 1), seed);
  at::Generator generator = seeded(seed);
  const at::NoGradGuard no_grad;
  for (auto& [name, tensor] : network.trainable()) tensor.add_(at::empty(tensor.sizes()).normal_(0, 0.3, generator));
  return network;
}

/// (4, 3, 13, 13).
inline at::Tensor some_images(std::uint64_t seed = 5) {
  at::Generator generator = seeded(seed);
  return at::empty({4, 3, 13, 13}).normal_(0, 1, generator);
}

/// The definition of a forward pass: node after node, with neither plan nor executor.
inline at::Tensor evaluate(const Network& network, const at::Tensor& images) {
  std::vector<at::Tensor> outputs{images};
  for (NodeId id = 1; id < network.graph().nodes().size(); ++id) {
    const Node& node = network.graph().node(id);
    std::vector<at::Tensor> inputs;
    for (const NodeId input : node.inputs) inputs.push_back(outputs[input]);
    const LayerAdapter* adapter = network.adapter(id);
    outputs.push_back(adapter != nullptr ? adapter->forward(node.op, network.tensors(id), inputs[0], false)
                                         : apply(node.op, network.tensors(id), inputs));
  }
  return outputs.back();
}

}  // namespace lorikeet
