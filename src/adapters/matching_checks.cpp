// Finds the parts of an adapter's configuration that have no effect on a network.
#include <algorithm>

#include "adapters/attention.h"
#include "adapters/ia3.h"
#include "adapters/matching.h"
#include "adapters/methods.h"
#include "adapters/pattern_table.h"
#include "adapters/target_sets.h"
#include "adapters/unilora.h"
#include "base/error.h"
#include "base/regex.h"
#include "base/text.h"

namespace lorikeet {
namespace {

// Names of the output layer in other libraries.
bool is_output_name(const std::string& name) {
  static const std::vector<std::string> kNames{"fc",     "classifier", "head",   "heads",       "score",
                                               "logits", "head.fc",    "output", "last_linear", "classification_head"};
  return std::find(kNames.begin(), kNames.end(), name) != kNames.end();
}

// Names of the projections of attention in timm, transformers 4 and 5, and torchvision.
bool is_attention_name(const std::string& pattern) {
  static const std::vector<std::string> kNames{"query",  "key",    "value", "q_proj",  "k_proj",
                                               "v_proj", "o_proj", "qkv",   "in_proj", "self_attention"};
  const std::string last = pattern.substr(pattern.find_last_of(".\\") + 1);
  return std::find(kNames.begin(), kNames.end(), last) != kNames.end();
}

// The names of the projections in this network, quoted; "" if it has no attention.
std::string attention_names(const Graph& graph) {
  const bool has_attention = std::any_of(graph.nodes().begin(), graph.nodes().end(), [](const Node& node) {
    return std::holds_alternative<Attention>(node.op) || std::holds_alternative<WindowAttention>(node.op);
  });
  if (!has_attention) return "";
  std::vector<std::string> out;
  for (const NodeId id : targets_of(TargetSet::kAuto, graph, PeftType::kLora).nodes) {
    const std::string& name = graph.node(id).name;
    std::string last = cat("'", name.substr(name.rfind('.') + 1), "'");
    if (std::find(out.begin(), out.end(), last) == out.end()) out.push_back(std::move(last));
  }
  return join(out, " and ");
}

std::string near_miss_hint(const Graph& graph, const std::string& pattern, bool (*is_eligible)(const Op&)) {
  if (is_output_name(pattern)) return cat(" The output of this network is '", graph.node(graph.output()).name, "'.");
  if (const std::string own = attention_names(graph); is_attention_name(pattern) && !own.empty())
    return cat(" The attention of this network has ", own, "; target_modules: auto selects it in any network.");
  const auto near = near_misses(graph, pattern, is_eligible);
  if (near.empty()) return " List the names with 'lorikeet inspect'.";
  return cat(" Near misses: ", join(near, ", "), ".");
}

// Throws if all entries of a list (or any, with `every`) match nothing.
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

// With task_type SEQ_CLS, PEFT adds both names to modules_to_save, whatever the network.
bool has_names_of_sequence_classifiers(const std::vector<std::string>& modules_to_save) {
  return std::find(modules_to_save.begin(), modules_to_save.end(), "classifier") != modules_to_save.end() &&
         std::find(modules_to_save.begin(), modules_to_save.end(), "score") != modules_to_save.end();
}

void check_lists(const Graph& graph, const AdapterConfig& config, bool every) {
  if (const auto* list = std::get_if<std::vector<std::string>>(&config.target_modules)) {
    check_entries(graph, config, "target_modules", *list, every, [](const Node& node, const std::string& entry) {
      return is_module(node.op) && is_name_or_suffix(node.name, entry);
    });
  }
  if (every || !has_names_of_sequence_classifiers(config.modules_to_save))
    check_entries(graph, config, "modules_to_save", config.modules_to_save, every,
                  [](const Node& node, const std::string& entry) { return is_saved(node.name, entry); });
}

void check_excluded(const Graph& graph, const AdapterConfig& config) {
  if (const auto* pattern = std::get_if<std::string>(&config.exclude_modules)) {
    const Regex regex(*pattern, "exclude_modules");
    check_entries(
        graph, config, "exclude_modules", {*pattern}, /*every=*/true,
        [&](const Node& node, const std::string&) { return is_module(node.op) && regex.full_match(node.name); });
  } else if (const auto* list = std::get_if<std::vector<std::string>>(&config.exclude_modules)) {
    check_entries(graph, config, "exclude_modules", *list, /*every=*/true,
                  [](const Node& node, const std::string& entry) {
                    return is_module(node.op) && is_name_or_suffix(node.name, entry);
                  });
  }
}

// Each pattern must be the first match of at least one target.
void check_patterns(const Graph& graph, const AdapterConfig& config, const PatternTable& table,
                    const std::vector<std::string>& targets, const char* field,
                    PatternRule rule = PatternRule::kNameEnd) {
  const CompiledPatterns patterns(table, field, rule);
  for (std::size_t i = 0; i < table.size(); ++i) {
    const auto is_first = [&](const std::string& name) { return patterns.first_match(name) == i; };
    if (std::any_of(targets.begin(), targets.end(), is_first)) continue;
    const std::string& pattern = table[i].first;
    const auto is_matched = [&](const std::string& name) { return patterns.matches(i, name); };
    if (std::any_of(targets.begin(), targets.end(), is_matched)) {
      fail_usage(field, ": got '", printable(pattern),
                 "' after patterns that match all of its modules, expected the narrower pattern first.");
    }
    const auto& nodes = graph.nodes();
    const bool is_name = std::any_of(
        nodes.begin(), nodes.end(), [&](const Node& node) { return has_parameters(node.op) && is_matched(node.name); });
    if (is_name)
      fail_usage(field, ": got '", printable(pattern), "', which matches no module that target_modules selects.");
    fail_usage(field, ": got '", printable(pattern), "', which does not match the end of any module's name.",
               near_miss_hint(graph, pattern, method_of(config).adapts));
  }
}

void check_layers(const AdapterConfig& config, const std::vector<std::string>& targets) {
  if (!config.layers_pattern.empty() && config.layers_to_transform.empty())
    fail_usage("layers_pattern: got it without layers_to_transform, expected both, as in PEFT.");
  if (config.layers_to_transform.empty()) return;
  if (std::holds_alternative<std::string>(config.target_modules)) {
    fail_usage(
        "layers_to_transform: got it with a regular expression in target_modules, expected a list of names, as in "
        "PEFT.");
  }
  const auto selects = [&](const AdapterConfig& part) {
    return std::any_of(targets.begin(), targets.end(),
                       [&](const std::string& name) { return passes_layer_filter(part, name); });
  };
  for (const std::int64_t layer : config.layers_to_transform) {
    AdapterConfig part = config;
    part.layers_to_transform = {layer};
    if (!selects(part))
      fail_usage("layers_to_transform: got ", layer,
                 ", which is not the number of a layer that target_modules selects.");
  }
  for (const auto& pattern : config.layers_pattern) {
    AdapterConfig part = config;
    part.layers_pattern = {pattern};
    if (!selects(part))
      fail_usage("layers_pattern: got '", printable(pattern),
                 "', which does not precede the number of a layer that target_modules selects.");
  }
}

// Rejects options that PEFT's configuration of this method does not have.
void check_options_of_method(const AdapterConfig& config) {
  const AdapterConfig defaults;
  const bool is_lokr = config.peft_type == PeftType::kLokr;
  const bool is_oft = config.peft_type == PeftType::kOft;
  const bool has_patterns = !config.rank_pattern.empty() || !config.alpha_pattern.empty();
  const bool has_layers = !config.layers_to_transform.empty() || !config.layers_pattern.empty();
  const std::pair<bool, const char*> kUnused[]{
      {!has_rank_pattern(config.peft_type) && has_patterns, "rank_pattern or alpha_pattern"},
      {!has_alpha(config.peft_type) && !config.alpha_pattern.empty(), "alpha_pattern"},
      {!has_layer_filter(config.peft_type) && has_layers, "layers_to_transform or layers_pattern"},
      {!is_lokr && config.peft_type != PeftType::kLoha && config.use_effective_conv2d, "use_effective_conv2d"},
      {!is_lokr && (config.decompose_both || config.decompose_factor != defaults.decompose_factor),
       "decompose_both or decompose_factor"},
      {config.peft_type != PeftType::kIa3 && config.feedforward_modules != defaults.feedforward_modules,
       "feedforward_modules"},
      {config.peft_type != PeftType::kHira && config.hira_dropout != 0, "hira_dropout"},
      {!is_oft && config.oft != defaults.oft, "one of OFT's options"},
      {config.peft_type != PeftType::kBoft && config.boft != defaults.boft, "one of BOFT's options"},
      {config.peft_type != PeftType::kFourierFt && config.fourierft != defaults.fourierft,
       "one of FourierFT's options"},
      {config.peft_type != PeftType::kVera && config.vera != defaults.vera, "one of VeRA's options"},
      {config.peft_type != PeftType::kUniLora && config.unilora != defaults.unilora, "one of UniLoRA's options"},
      {config.peft_type != PeftType::kTinyLora && config.tinylora != defaults.tinylora, "one of TinyLoRA's options"}};
  for (const auto& [is_unused, option] : kUnused) {
    if (is_unused)
      fail_usage(option, ": got it with peft_type ", name_of(config.peft_type), ", which does not have it.");
  }
  if (is_oft && config.oft.block_size > 0 && config.r != 0 && config.r != defaults.r) {
    fail_usage("r: got ", config.r, " with oft_block_size ", config.oft.block_size,
               ", expected one of them: with oft_block_size 0, r is the number of blocks.");
  }
}

void check_feedforward(const AdapterConfig& config, const std::vector<std::string>& targets) {
  if (std::holds_alternative<std::monostate>(config.feedforward_modules)) return;
  if (std::any_of(targets.begin(), targets.end(),
                  [&](const std::string& name) { return is_feedforward(name, config); })) {
    return;
  }
  fail_usage("feedforward_modules: got a pattern that matches no module that target_modules selects.");
}

// Rejects learned numbers that change nothing. TinyLoRA's may be more than its matrices have elements, as by PEFT's
// defaults.
void check_counts(const AdaptedLayers& layers, const AdapterConfig& config) {
  if (layers.targets.empty() || config.peft_type != PeftType::kUniLora) return;
  const std::int64_t most = unilora_elements(layers, config);
  if (config.unilora.theta_d_length > most)
    fail_usage("theta_d_length: got ", config.unilora.theta_d_length, ", expected at most ", most,
               ", the elements of A and B of ", counted(layers.targets.size(), "module"), " with r ", config.r, ".");
}

// PEFT's adapter of an attention's out_proj alone has no effect.
void check_out_proj(const Graph& graph, const Matches& found) {
  for (const auto& target : found.targets) {
    const auto attention = attention_of_out_proj(graph, target.node);
    if (!attention || !target.module.empty()) continue;
    fail_usage("target_modules: got a pattern that matches ", graph.node(target.node).name, " but not ",
               graph.node(*attention).name,
               ", expected the latter, which adapts both. PEFT ignores an adapter of the "
               "former alone.");
  }
}

}  // namespace

void check_something_matches(const Graph& graph, const AdapterConfig& config) {
  if (const auto* pattern = std::get_if<std::string>(&config.target_modules);
      pattern != nullptr && !target_set(config.target_modules)) {
    const Regex regex(*pattern, "target_modules");
    check_entries(
        graph, config, "target_modules", {*pattern}, /*every=*/true,
        [&](const Node& node, const std::string&) { return is_module(node.op) && regex.full_match(node.name); });
  }
  check_lists(graph, config, /*every=*/false);
}

std::vector<std::string> near_misses(const Graph& graph, std::string_view pattern, bool (*is_eligible)(const Op&),
                                     std::size_t count) {
  std::vector<std::string> begins;  // names with a prefix that matches, e.g. layer1.2.conv3 for '.*\.2\.conv'
  std::vector<std::string> names;
  std::optional<Regex> regex;
  try {
    regex.emplace(pattern, "pattern");
  } catch (const UsageError&) {  // an invalid pattern may still be close to a name
  }
  for (const Node& node : graph.nodes()) {
    if (!is_eligible(node.op)) continue;
    names.push_back(node.name);
    if (regex && begins.size() < count && regex->match(node.name)) begins.push_back(node.name);
  }
  if (!begins.empty()) return begins;
  auto near = nearest(pattern, names, count);
  if (!near.empty()) return near;
  // Finally, names with the same last component, if it is a word.
  const std::string_view last = pattern.substr(pattern.find_last_of(".\\") + 1);
  constexpr std::size_t kShortestWord = 3;
  if (last.size() < kShortestWord) return near;
  for (const auto& name : names) {
    if (near.size() < count && edit_distance(std::string_view(name).substr(name.rfind('.') + 1), last) <= 2)
      near.push_back(name);
  }
  return near;
}

void check_every_entry_matches(const Graph& graph, const AdapterConfig& config) {
  check_options_of_method(config);
  check_lists(graph, config, /*every=*/true);
  check_excluded(graph, config);
  const Matches found = match_modules(graph, config);
  check_out_proj(graph, found);
  std::vector<std::string> targets;
  for (const auto& target : found.targets) targets.push_back(graph.node(target.node).name);
  check_layers(config, targets);
  check_patterns(graph, config, config.rank_pattern, targets, "rank_pattern");
  check_patterns(graph, config, config.alpha_pattern, targets, "alpha_pattern");
  check_patterns(graph, config, config.fourierft.n_frequency_pattern, targets, "n_frequency_pattern",
                 PatternRule::kFrequency);
  check_feedforward(config, targets);
  check_counts({graph, found.targets}, config);
  if (config.bias != TrainedBias::kNone && found.biases.empty()) {
    const bool is_all = config.bias == TrainedBias::kAll;
    fail_usage("bias: got ", trained_bias_names()[static_cast<std::size_t>(config.bias)], ", but ",
               is_all ? "nothing" : cat("no layer with ", method_of(config).name),
               " has a bias that is not already trained.");
  }
}

}  // namespace lorikeet
