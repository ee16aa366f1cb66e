#include "export/state_dict.h"

#include <ATen/Functions.h>

namespace lorikeet {

NamedTensors state_dict(const Network& network) {
  const NamedTensors merged = network.merged();
  NamedTensors out;
  for (const auto& parameter : network.graph().parameters()) {
    out.add(parameter.name, *merged.find(parameter.name));
    const Node& node = network.graph().node(parameter.node);
    if (std::holds_alternative<BatchNorm2d>(node.op) && parameter.key == "running_var")  // the last parameter
      out.add(node.name + ".num_batches_tracked", at::zeros({}, at::kLong));
  }
  return out;
}

}  // namespace lorikeet
