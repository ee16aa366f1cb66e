#include "export/state_dict.h"

#include <ATen/Functions.h>

namespace lorikeet {

NamedTensors state_dict(const Network& network) {
  const NamedTensors merged = network.merged();
  NamedTensors out;
  for (NodeId id = 0; id < network.graph().nodes().size(); ++id) {
    for (const auto& parameter : network.graph().parameters(id)) out.add(parameter.name, *merged.find(parameter.name));
    const Node& node = network.graph().node(id);
    if (std::holds_alternative<BatchNorm2d>(node.op))
      out.add(node.name + ".num_batches_tracked", at::zeros({}, at::kLong));
  }
  return out;
}

}  // namespace lorikeet
