#include "adapters/pattern_table.h"

#include <algorithm>

#include "base/error.h"

namespace lorikeet {
namespace {

PatternTable sorted(PatternTable table) {
  std::stable_sort(table.begin(), table.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  return table;
}

// Whether the table has the same values for these modules when it is sorted.
bool is_order_free(const PatternTable& table, const PatternTable& meant, const std::vector<std::string>& targets,
                   const char* field, PatternRule rule) {
  const CompiledPatterns now(meant, field, rule), later(sorted(table), field, rule);
  return std::all_of(targets.begin(), targets.end(),
                     [&](const std::string& name) { return now.value(name, 0) == later.value(name, 0); });
}

PatternTable order_free(const PatternTable& table, const std::vector<std::string>& targets, const char* field,
                        PatternRule rule = PatternRule::kNameEnd) {
  if (is_order_free(table, table, targets, field, rule)) return table;
  const CompiledPatterns now(table, field, rule);
  PatternTable exact;
  for (const auto& name : targets) {
    if (const auto found = now.first_match(name))
      exact.emplace_back(rule == PatternRule::kNameEnd ? exact_pattern(name) : name, table[*found].second);
  }
  if (!is_order_free(exact, table, targets, field, rule)) {
    fail(field,
         ": got values that depend on the order of the patterns, expected some that do not. PEFT sorts the "
         "table when it saves an adapter.");
  }
  return exact;
}

}  // namespace

CompiledPatterns::CompiledPatterns(const PatternTable& table, const char* field, PatternRule rule) : rule_(rule) {
  for (const auto& [pattern, value] : table) {
    const std::string regex = rule == PatternRule::kNameEnd ? "(.*\\.)?(" + pattern + ")$" : ".*\\." + pattern + "$";
    patterns_.push_back({Regex(regex, field), pattern, value});
  }
}

bool CompiledPatterns::matches(std::size_t index, const std::string& name) const {
  const Pattern& pattern = patterns_[index];
  return pattern.regex.match(name) || (rule_ == PatternRule::kFrequency && pattern.name == name);
}

std::optional<std::size_t> CompiledPatterns::first_match(const std::string& name) const {
  const auto position = [&](const auto& holds) -> std::optional<std::size_t> {
    const auto found = std::find_if(patterns_.begin(), patterns_.end(), holds);
    if (found == patterns_.end()) return std::nullopt;
    return static_cast<std::size_t>(found - patterns_.begin());
  };
  if (const auto found = position([&](const Pattern& pattern) { return pattern.regex.match(name); })) return found;
  if (rule_ == PatternRule::kNameEnd) return std::nullopt;
  return position([&](const Pattern& pattern) { return pattern.name == name; });
}

double CompiledPatterns::value(const std::string& name, double otherwise) const {
  const auto found = first_match(name);
  return found ? patterns_[*found].value : otherwise;
}

std::string escaped_name(const std::string& name) {
  std::string out;
  for (const char c : name) out += c == '.' ? std::string("\\.") : std::string(1, c);
  return out;
}

std::string exact_pattern(const std::string& name) { return cat("^", escaped_name(name)); }

void clear_module_filters(AdapterConfig& config) {
  config.exclude_modules = {};
  config.layers_to_transform.clear();
  config.layers_pattern.clear();
}

void clear_patterns(AdapterConfig& config) {
  clear_module_filters(config);
  config.rank_pattern.clear();
  config.alpha_pattern.clear();
  config.fourierft.n_frequency_pattern.clear();
}

void put_exact(AdapterConfig& config, const std::string& name, std::int64_t rank, double alpha) {
  if (has_rank_pattern(config.peft_type) && rank != config.r)
    config.rank_pattern.emplace_back(exact_pattern(name), static_cast<double>(rank));
  if (has_alpha(config.peft_type) && alpha != config.lora_alpha)
    config.alpha_pattern.emplace_back(exact_pattern(name), alpha);
  if (config.peft_type == PeftType::kFourierFt && rank != config.fourierft.n_frequency)
    config.fourierft.n_frequency_pattern.emplace_back(name, static_cast<double>(rank));
}

void make_order_free(AdapterConfig& config, const std::vector<std::string>& targets) {
  config.rank_pattern = order_free(config.rank_pattern, targets, "rank_pattern");
  config.alpha_pattern = order_free(config.alpha_pattern, targets, "alpha_pattern");
  PatternTable& frequencies = config.fourierft.n_frequency_pattern;
  frequencies = order_free(frequencies, targets, "n_frequency_pattern", PatternRule::kFrequency);
}

}  // namespace lorikeet
