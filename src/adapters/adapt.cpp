#include "adapters/adapt.h"

#include <algorithm>

#include "adapters/lora.h"
#include "base/error.h"

namespace lorikeet {
namespace {

constexpr std::int64_t kMaxClasses = 1'000'000;

void check_width(std::int64_t width, const char* what) {
  if (width < 1 || width > kMaxClasses) fail_usage("head: got ", width, " ", what, ", expected 1 to ", kMaxClasses, ".");
}

std::vector<NodeId> append_head(Graph& graph, const Head& head) {
  std::vector<NodeId> nodes;
  std::int64_t in = output_features(graph);
  NodeId x = graph.output();
  std::vector<std::int64_t> widths = head.hidden;
  widths.push_back(head.classes);
  for (std::size_t i = 0; i < widths.size(); ++i) {
    check_width(widths[i], i + 1 == widths.size() ? "classes" : "hidden features");
    const std::string name = "head." + std::to_string(i);
    x = graph.add(name, Linear{in, widths[i]}, {x});
    nodes.push_back(x);
    in = widths[i];
    if (i + 1 < widths.size() && head.activation == Activation::kRelu) x = graph.add(name + ".relu", Relu{}, {x});
  }
  return nodes;
}

}  // namespace

Adaptation adapt(const Graph& base, const AdapterSpec& spec) {
  const Matches matches = match_modules(base, spec.lora);
  Adaptation out{base, matches.targets, matches.retrained, {}, std::nullopt};
  for (const auto& target : out.targets) lora_shapes(base.node(target.node), target.rank);  // refuses impossible ranks
  if (spec.output_classes) {
    check_width(*spec.output_classes, "classes");
    const NodeId output = base.output();
    if (std::find(out.retrained.begin(), out.retrained.end(), output) == out.retrained.end()) {
      fail_usage("modules_to_save: got no '", base.node(output).name, "', expected it where the output is replaced. A new output must be trained.");
    }
    Linear linear = std::get<Linear>(base.node(output).op);
    linear.out = *spec.output_classes;
    out.graph.replace(output, linear);
    out.replaced = output;
  }
  if (spec.head) out.head = append_head(out.graph, *spec.head);
  return out;
}

std::vector<Parameter> trainable_parameters(const Adaptation& adaptation) {
  std::vector<Parameter> out;
  for (const auto& target : adaptation.targets) {
    const Node& node = adaptation.graph.node(target.node);
    const LoraShapes shapes = lora_shapes(node, target.rank);
    out.push_back({node.name + ".lora_A.weight", target.node, shapes.lora_A});
    out.push_back({node.name + ".lora_B.weight", target.node, shapes.lora_B});
  }
  for (const auto* nodes : {&adaptation.retrained, &adaptation.head}) {
    for (const NodeId id : *nodes) {
      for (auto& parameter : adaptation.graph.parameters(id)) {
        if (!parameter.buffer) out.push_back(std::move(parameter));
      }
    }
  }
  return out;
}

std::int64_t count_trainable(const Adaptation& adaptation) {
  std::int64_t total = 0;
  for (const auto& parameter : trainable_parameters(adaptation)) total += parameter.count();
  return total;
}

}  // namespace lorikeet
