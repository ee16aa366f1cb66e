#include "export/state_dict.h"

#include <ATen/Functions.h>

#include "loading/convert_adapter.h"

namespace lorikeet {
namespace {

NamedTensors in_order(const Graph& graph, const NamedTensors& merged) {
  NamedTensors out;
  for (const auto& parameter : graph.parameters()) {
    out.add(parameter.name, *merged.find(parameter.name));
    const Node& node = graph.node(parameter.node);
    if (std::holds_alternative<BatchNorm2d>(node.op) && parameter.key == "running_var")  // the last parameter
      out.add(node.name + ".num_batches_tracked", at::zeros({}, at::kLong));
    if (const auto* attention = std::get_if<WindowAttention>(&node.op);
        attention != nullptr && parameter.key == attention->parameters().front().name) {
      for (const auto& [key, value] : attention->fixed_buffers()) out.add(node.name + "." + key, value);
    }
  }
  for (const auto& [name, tensor] : merged) {
    if (!out.contains(name)) out.add(name, tensor);  // the head, which the converted graph does not have
  }
  return out;
}

}  // namespace

NamedTensors state_dict(const Network& network) { return in_order(network.graph(), network.merged()); }

NamedTensors state_dict(const LoadedModel& model, Library library) {
  return in_order(converted_graph(*model.entry, library),
                  convert_weights(model.network.merged(), *model.entry, library));
}

}  // namespace lorikeet
