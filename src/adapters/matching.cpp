#include "adapters/matching.h"

#include <algorithm>
#include <cmath>

#include "adapters/methods.h"
#include "base/error.h"
#include "base/regex.h"
#include "base/text.h"

namespace lorikeet {
namespace {

constexpr const char* kAllLinear = "all-linear";

bool ends_with(std::string_view name, std::string_view suffix) {
  return name.size() >= suffix.size() && name.substr(name.size() - suffix.size()) == suffix;
}

bool is_name_or_suffix(std::string_view name, const std::string& entry) {
  return name == entry || ends_with(name, "." + entry);
}

// The module itself and all that contain it: "layer1.0.conv1", "layer1.0", "layer1".
std::vector<std::string> self_and_containers(const std::string& name) {
  std::vector<std::string> out{name};
  for (std::size_t dot = name.rfind('.'); dot != std::string::npos && dot > 0; dot = name.rfind('.', dot - 1)) {
    out.push_back(name.substr(0, dot));
  }
  return out;
}

// PEFT wraps every module whose name ends with the entry (utils/other._set_trainable), dot or no dot.
bool is_saved(const std::string& name, const std::string& entry) {
  const auto names = self_and_containers(name);
  return std::any_of(names.begin(), names.end(), [&](const std::string& n) { return ends_with(n, entry); });
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

bool is_target(const AdapterConfig& config, const Graph& graph, NodeId id) {
  const Node& node = graph.node(id);
  const auto* text = std::get_if<std::string>(&config.target_modules);
  if (text != nullptr && *text == kAllLinear) return std::holds_alternative<Linear>(node.op) && id != graph.output();
  if (!matches(config.target_modules, node.name)) return false;
  // As in PEFT, layers_to_transform narrows lists only, and in them what matches by suffix, not what is named in full.
  if (text != nullptr) return true;
  const auto& list = std::get<std::vector<std::string>>(config.target_modules);
  return std::find(list.begin(), list.end(), node.name) != list.end() || passes_layer_filter(config, node.name);
}

// The value of the first pattern that matches the end of the name (peft.utils.get_pattern_key).
double pattern_value(const PatternTable& table, const std::string& name, double otherwise, const char* field) {
  for (const auto& [pattern, value] : table) {
    if (Regex("(.*\\.)?(" + pattern + ")$", field).match(name)) return value;
  }
  return otherwise;
}

std::string near_miss_hint(const Graph& graph, std::string_view pattern, bool (*is_eligible)(const Op&)) {
  const auto near = near_misses(graph, pattern, is_eligible);
  if (near.empty()) return " List the names with 'lorikeet inspect'.";
  return cat(" Near misses: ", join(near, ", "), ".");
}

// Throws where all entries of a list, or with `every` one of them, match nothing.
template <typename Hits>
void check_entries(const Graph& graph, const AdapterConfig& config, const char* field,
                   const std::vector<std::string>& entries, bool every, const Hits& hits) {
  const auto& nodes = graph.nodes();
  std::vector<std::string> idle = entries;
  std::erase_if(idle, [&](const std::string& entry) {
    return std::any_of(nodes.begin(), nodes.end(),
                       [&](const Node& node) { return has_parameters(node.op) && hits(node, entry); });
  });
  if (idle.empty() || (!every && idle.size() < entries.size())) return;
  fail_usage(field, ": got '", printable(idle.front()), "', which matches no module.",
             near_miss_hint(graph, idle.front(), method_of(config).adapts));
}

void check_lists(const Graph& graph, const AdapterConfig& config, bool every) {
  if (const auto* list = std::get_if<std::vector<std::string>>(&config.target_modules)) {
    check_entries(graph, config, "target_modules", *list, every, [](const Node& node, const std::string& entry) {
      return is_module(node.op) && is_name_or_suffix(node.name, entry);
    });
  }
  check_entries(graph, config, "modules_to_save", config.modules_to_save, every,
                [](const Node& node, const std::string& entry) { return is_saved(node.name, entry); });
}

void check_something_matches(const Graph& graph, const AdapterConfig& config) {
  if (const auto* pattern = std::get_if<std::string>(&config.target_modules);
      pattern != nullptr && *pattern != kAllLinear) {
    const Regex regex(*pattern, "target_modules");
    check_entries(
        graph, config, "target_modules", {*pattern}, /*every=*/true,
        [&](const Node& node, const std::string&) { return is_module(node.op) && regex.full_match(node.name); });
  }
  check_lists(graph, config, /*every=*/false);
}

}  // namespace

bool matches(const ModulePattern& pattern, std::string_view name, const char* field) {
  if (const auto* text = std::get_if<std::string>(&pattern)) return Regex(*text, field).full_match(name);
  if (const auto* list = std::get_if<std::vector<std::string>>(&pattern)) {
    return std::any_of(list->begin(), list->end(),
                       [&](const std::string& entry) { return is_name_or_suffix(name, entry); });
  }
  return false;
}

std::vector<std::string> near_misses(const Graph& graph, std::string_view pattern, bool (*is_eligible)(const Op&),
                                     std::size_t count) {
  std::vector<std::string> begins;  // what the pattern matches but for the end, e.g. '.*\.2\.conv' and layer1.2.conv3
  std::vector<std::string> names;
  std::optional<Regex> regex;
  try {
    regex.emplace(pattern, "pattern");
  } catch (const UsageError&) {  // a plain name that is no pattern has near misses too
  }
  for (const Node& node : graph.nodes()) {
    if (!is_eligible(node.op)) continue;
    names.push_back(node.name);
    if (regex && begins.size() < count && regex->match(node.name)) begins.push_back(node.name);
  }
  if (!begins.empty()) return begins;
  auto near = nearest(pattern, names, count);
  if (!near.empty()) return near;
  // Last resort: the same last part.
  const std::string_view last = pattern.substr(pattern.find_last_of(".\\") + 1);
  for (const auto& name : names) {
    if (near.size() < count && !last.empty() &&
        edit_distance(std::string_view(name).substr(name.rfind('.') + 1), last) <= 2)
      near.push_back(name);
  }
  return near;
}

void check_every_entry_matches(const Graph& graph, const AdapterConfig& config) {
  check_lists(graph, config, /*every=*/true);
}

Matches match_modules(const Graph& graph, const AdapterConfig& config) {
  check_something_matches(graph, config);
  const Method& method = method_of(config);
  Matches out;
  for (NodeId id = 0; id < graph.nodes().size(); ++id) {
    const Node& node = graph.node(id);
    if (!has_parameters(node.op)) continue;
    const bool saved = std::any_of(config.modules_to_save.begin(), config.modules_to_save.end(),
                                   [&](const std::string& entry) { return is_saved(node.name, entry); });
    if (saved) out.retrained.push_back(id);
    if (saved || !is_module(node.op) || matches(config.exclude_modules, node.name, "exclude_modules") ||
        !is_target(config, graph, id))
      continue;
    if (!method.adapts(node.op)) {
      fail_usage("target_modules: got a pattern that matches ", node.name, ", a ", op_name(node.op), ", expected only ",
                 method.layers, ", where ", method.name, " can go. Narrow it, or use exclude_modules.");
    }
    const auto rank = static_cast<std::int64_t>(
        pattern_value(config.rank_pattern, node.name, static_cast<double>(config.r), "rank_pattern"));
    const double alpha = pattern_value(config.alpha_pattern, node.name, config.lora_alpha, "alpha_pattern");
    const double scale = config.use_rslora ? std::sqrt(static_cast<double>(rank)) : static_cast<double>(rank);
    out.targets.push_back({id, rank, alpha / scale});
  }
  if (config.has_targets() && out.targets.empty()) {
    fail_usage(
        "target_modules: got a pattern whose matches are all in exclude_modules, modules_to_save or outside "
        "layers_to_transform, expected at least one module to adapt.");
  }
  return out;
}

}  // namespace lorikeet
