#include "adapters/matching.h"

#include <algorithm>
#include <set>

#include "adapters/attention.h"
#include "adapters/methods.h"
#include "adapters/pattern_table.h"
#include "adapters/target_sets.h"
#include "base/error.h"
#include "base/regex.h"
#include "base/text.h"

namespace lorikeet {
namespace {

// The module and all enclosing modules: "layer1.0.conv1", "layer1.0", "layer1".
std::vector<std::string> self_and_containers(const std::string& name) {
  std::vector<std::string> out{name};
  for (std::size_t dot = name.rfind('.'); dot != std::string::npos && dot > 0; dot = name.rfind('.', dot - 1)) {
    out.push_back(name.substr(0, dot));
  }
  return out;
}

// Lists the network's Linear layers for a message, with the output marked.
std::string linear_names(const Graph& graph) {
  constexpr std::size_t kMost = 5;
  std::vector<std::string> names;
  for (NodeId id = 0; id < graph.nodes().size() && names.size() < kMost; ++id) {
    if (!std::holds_alternative<Linear>(graph.node(id).op)) continue;
    names.push_back(graph.node(id).name + (id == graph.output() ? " (the output)" : ""));
  }
  return names.empty() ? "none" : join(names, ", ");
}

std::vector<NodeId> trained_biases(const Graph& graph, const AdapterConfig& config, const Matches& matched) {
  std::vector<NodeId> out;
  if (config.bias == TrainedBias::kNone) return out;
  const bool has_modules = !std::holds_alternative<std::monostate>(config.bias_modules);
  for (NodeId id = 0; id < graph.nodes().size(); ++id) {
    const auto parameters = graph.parameters(id);
    const bool has_bias = std::any_of(parameters.begin(), parameters.end(),
                                      [](const Parameter& parameter) { return parameter.key == "bias"; });
    const bool is_target = find_target(matched.targets, id) != nullptr;
    const bool is_retrained =
        std::find(matched.retrained.begin(), matched.retrained.end(), id) != matched.retrained.end();
    if (out_proj_of_attention(graph, id)) continue;  // PEFT takes in_proj_bias for no bias
    if (has_modules && !matches(config.bias_modules, graph.node(id).name)) continue;
    if (has_bias && !is_retrained && (config.bias == TrainedBias::kAll || is_target)) out.push_back(id);
  }
  if (has_modules && out.empty()) {
    fail_usage(
        "target_modules: got a pattern that matches no module with a bias, expected at least one whose bias is "
        "to be trained. List the modules with 'lorikeet inspect'.");
  }
  return out;
}

bool is_target(const AdapterConfig& config, const Node& node) {
  if (!matches(config.target_modules, node.name)) return false;
  // As in PEFT, layers_to_transform applies only to lists, and in them only to matches by suffix, not to full names.
  if (std::holds_alternative<std::string>(config.target_modules)) return true;
  const auto& list = std::get<std::vector<std::string>>(config.target_modules);
  return std::find(list.begin(), list.end(), node.name) != list.end() || passes_layer_filter(config, node.name);
}

// PEFT's adapter of an attention's out_proj, where that of its in_proj is `attention`.
AdapterTarget out_proj_target(const Graph& graph, const AdapterConfig& config, const AdapterTarget& attention,
                              NodeId out_proj) {
  const std::string& name = graph.node(attention.node).name;
  if (config.lora_bias) {
    fail_usage("lora_bias: got it on ", name,
               ", an attention, expected it without. PEFT uses one of its two biases only.");
  }
  const bool is_pefts = config.peft_type == PeftType::kLora && !config.use_dora;  // other methods are not PEFT's there
  return {out_proj, attention.rank, attention.scaling * (is_pefts ? 2 : 1), out_proj_module(name)};
}

}  // namespace

const AdapterTarget* find_target(const std::vector<AdapterTarget>& targets, std::optional<NodeId> id) {
  const auto found =
      std::find_if(targets.begin(), targets.end(), [&](const AdapterTarget& target) { return target.node == id; });
  return found == targets.end() ? nullptr : &*found;
}

const std::string& module_name(const Graph& graph, const AdapterTarget& target) {
  return target.module.empty() ? graph.node(target.node).name : target.module;
}

bool is_name_or_suffix(std::string_view name, const std::string& entry) {
  return name == entry || name.ends_with("." + entry);
}

bool selects_only(const Graph& graph, const std::vector<std::string>& names) {
  const std::set<std::string> wanted(names.begin(), names.end());
  for (const Node& node : graph.nodes()) {
    // Beside a "norm", timm has modules without parameters that the graph leaves out: blocks.0.attn.norm.
    if (std::holds_alternative<LayerNorm>(node.op) && node.name == "norm" && wanted.count(node.name) > 0) return false;
    for (const std::string& module : self_and_containers(node.name)) {
      if (wanted.count(module) > 0) continue;
      for (std::size_t dot = module.find('.'); dot != std::string::npos; dot = module.find('.', dot + 1)) {
        if (wanted.count(module.substr(dot + 1)) > 0) return false;
      }
    }
  }
  return true;
}

// PEFT's rule for wrapping modules (utils/other._set_trainable).
bool is_saved(const std::string& name, const std::string& entry) {
  const auto names = self_and_containers(name);
  return std::any_of(names.begin(), names.end(), [&](const std::string& n) { return n.ends_with(entry); });
}

bool passes_layer_filter(const AdapterConfig& config, const std::string& name) {
  if (config.layers_to_transform.empty()) return true;
  std::optional<std::string> index;
  if (config.layers_pattern.empty()) {
    index = Regex(R"(.*?\.[^.]*\.(?P<idx>\d+)\.)", "layers_pattern").match_index(name);
  }
  for (const auto& pattern : config.layers_pattern) {
    index = Regex("(?:^|.*?\\.)" + pattern + "\\.(?P<idx>\\d+)\\.", "layers_pattern").match_index(name);
    if (index) break;
  }
  if (!index || index->size() > 9) return false;
  return std::find(config.layers_to_transform.begin(), config.layers_to_transform.end(), std::stoll(*index)) !=
         config.layers_to_transform.end();
}

bool matches(const ModulePattern& pattern, std::string_view name, const char* field) {
  if (const auto* text = std::get_if<std::string>(&pattern)) return Regex(*text, field).full_match(name);
  if (const auto* list = std::get_if<std::vector<std::string>>(&pattern)) {
    return std::any_of(list->begin(), list->end(),
                       [&](const std::string& entry) { return is_name_or_suffix(name, entry); });
  }
  return false;
}

ModulePattern exact_targets(const Graph& graph, const std::vector<std::string>& names, bool as_expression) {
  if (!as_expression && selects_only(graph, names)) return names;
  std::vector<std::string> escaped;
  for (const std::string& name : names) escaped.push_back(escaped_name(name));
  return join(escaped, "|");
}

Matches match_modules(const Graph& graph, const AdapterConfig& config) {
  check_something_matches(graph, config);
  const Method& method = method_of(config);
  const bool has_frequencies = config.peft_type == PeftType::kFourierFt;
  const FourierFtOptions& fourierft = config.fourierft;
  const CompiledPatterns ranks =
      has_frequencies ? CompiledPatterns(fourierft.n_frequency_pattern, "n_frequency_pattern", PatternRule::kFrequency)
                      : CompiledPatterns(config.rank_pattern, "rank_pattern");
  const CompiledPatterns alphas(config.alpha_pattern, "alpha_pattern");
  const auto usual_rank = static_cast<double>(has_frequencies ? fourierft.n_frequency : config.r);
  Matches out;
  const auto set = target_set(config.target_modules);
  std::set<NodeId> in_set;
  if (set) {
    const auto nodes = targets_of(*set, graph, config.peft_type).nodes;
    in_set.insert(nodes.begin(), nodes.end());
  }
  for (NodeId id = 0; id < graph.nodes().size(); ++id) {
    const Node& node = graph.node(id);
    if (!has_parameters(node.op)) continue;
    const bool saved = std::any_of(config.modules_to_save.begin(), config.modules_to_save.end(),
                                   [&](const std::string& entry) { return is_saved(node.name, entry); });
    if (saved) out.retrained.push_back(id);
    if (saved || !is_module(node.op)) continue;
    const bool is_hit = !matches(config.exclude_modules, node.name, "exclude_modules") &&
                        (set ? in_set.count(id) > 0 : is_target(config, node));
    if (const AdapterTarget* attention = find_target(out.targets, attention_of_out_proj(graph, id))) {
      if (is_hit) {
        fail_usage("target_modules: got a pattern that matches ", graph.node(attention->node).name, " and ", node.name,
                   ", expected only the first: it adapts both, as in PEFT.");
      }
      out.targets.push_back(out_proj_target(graph, config, *attention, id));
      continue;
    }
    if (!is_hit) continue;
    if (!method.adapts(node.op)) {
      fail_usage("target_modules: got a pattern that matches ", node.name, ", a ", op_name(node.op), ", expected only ",
                 method.layers, ", where ", method.name, " can go. Narrow it, or use exclude_modules.");
    }
    const auto rank = static_cast<std::int64_t>(ranks.value(node.name, usual_rank));
    out.targets.push_back({id, rank, alphas.value(node.name, config.lora_alpha) / rank_divisor(config, rank)});
  }
  if (set == TargetSet::kAllLinear && out.targets.empty()) {
    fail_usage("target_modules: got all-linear, but every Linear of this network, ", linear_names(graph),
               ", is in exclude_modules or modules_to_save, expected at least one module to adapt.");
  }
  if (config.has_targets() && out.targets.empty()) {
    fail_usage(
        "target_modules: got a pattern whose matches are all in exclude_modules, modules_to_save or outside "
        "layers_to_transform, expected at least one module to adapt.");
  }
  out.biases = trained_biases(graph, config, out);
  return out;
}

}  // namespace lorikeet
