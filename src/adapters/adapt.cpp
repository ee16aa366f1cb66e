#include "adapters/adapt.h"

#include <algorithm>
#include <map>

#include "adapters/methods.h"
#include "base/error.h"

namespace lorikeet {
namespace {

constexpr std::int64_t kMaxClasses = 1'000'000;

void check_width(std::int64_t width, const char* what) {
  if (width < 1 || width > kMaxClasses)
    fail_usage("head: got ", width, " ", what, ", expected 1 to ", kMaxClasses, ".");
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

bool contains(const std::vector<NodeId>& nodes, NodeId id) {
  return std::find(nodes.begin(), nodes.end(), id) != nodes.end();
}

}  // namespace

Adaptation adapt(const Graph& base, const AdapterSpec& spec) {
  const Matches matches = match_modules(base, spec.config);
  Adaptation out{base, spec.config, matches.targets, matches.biases, matches.retrained, {}, std::nullopt, {}};
  if (spec.output_classes) {
    check_width(*spec.output_classes, "classes");
    const NodeId output = base.output();
    if (!contains(out.retrained, output)) {
      fail_usage("modules_to_save: got no '", base.node(output).name,
                 "', expected it with a replaced output. A new output must be trained.");
    }
    const std::int64_t base_outputs = output_features(base);
    set_output_features(out.graph, *spec.output_classes);
    out.replaced = output;
    out.small_output = spec.small_output;
    if (spec.small_output)
      check_small_output(*spec.small_output, std::get<Linear>(out.graph.node(output).op), base_outputs);
  }
  if (spec.head) out.head = append_head(out.graph, *spec.head);
  return out;
}

std::string bias_key(const std::string& module, bool has_adapter) {
  return module + (has_adapter ? ".base_layer.bias" : ".bias");
}

std::vector<Parameter> adapter_parameters(const Adaptation& adaptation) {
  const Graph& graph = adaptation.graph;
  const Method& method = method_of(adaptation.config);
  std::vector<Parameter> out = method.tensors({graph, adaptation.targets}, adaptation.config);
  std::map<NodeId, std::string> modules;  // of the targets
  for (const auto& target : adaptation.targets) modules.emplace(target.node, module_name(graph, target));
  for (const NodeId id : adaptation.biases) {
    const bool has_adapter = modules.count(id) > 0;
    for (auto& parameter : graph.parameters(id)) {
      if (parameter.key == "bias")
        out.push_back({bias_key(has_adapter ? modules.at(id) : graph.node(id).name, has_adapter), id,
                       std::move(parameter.shape)});
    }
  }
  for (const auto* nodes : {&adaptation.retrained, &adaptation.head}) {
    for (const NodeId id : *nodes) {
      const bool is_small = adaptation.small_output && adaptation.replaced == id;
      for (auto& parameter :
           is_small ? small_output_parameters(*adaptation.small_output, graph, id) : graph.parameters(id))
        out.push_back(std::move(parameter));
    }
  }
  return out;
}

std::vector<Parameter> trainable_parameters(const Adaptation& adaptation) {
  std::vector<Parameter> out = adapter_parameters(adaptation);
  std::erase_if(out, [](const Parameter& parameter) { return parameter.buffer; });
  return out;
}

std::vector<Oversized> oversized_adapters(const Adaptation& adaptation) {
  std::vector<Oversized> out;
  const Method& method = method_of(adaptation.config);
  if (adaptation.config.peft_type == PeftType::kLnTuning) return out;  // has the size of the layer by definition
  std::map<NodeId, std::int64_t> counts;
  for (const auto& tensor : method.tensors({adaptation.graph, adaptation.targets}, adaptation.config))
    counts[tensor.node] += tensor.buffer ? 0 : tensor.count();
  for (const auto& target : adaptation.targets) {
    Oversized found{adaptation.graph.node(target.node).name, counts[target.node]};
    for (const auto& parameter : adaptation.graph.parameters(target.node)) found.layer += parameter.count();
    if (found.adapter >= found.layer) out.push_back(std::move(found));
  }
  return out;
}

std::int64_t count_trainable(const Adaptation& adaptation) {
  std::int64_t total = 0;
  for (const auto& parameter : trainable_parameters(adaptation)) total += parameter.count();
  return total;
}

}  // namespace lorikeet
