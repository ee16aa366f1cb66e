#include "adapters/pattern_table.h"

#include <algorithm>

#include "base/error.h"

namespace lorikeet {
namespace {

PatternTable order_free(const PatternTable& table, const std::vector<std::string>& targets, const char* field) {
  PatternTable sorted = table;
  std::stable_sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  const CompiledPatterns now(table, field), later(sorted, field);
  PatternTable exact;
  bool depends = false;
  for (const auto& name : targets) {
    const auto found = now.first_match(name);
    if (!found) continue;
    depends = depends || later.value(name, 0) != table[*found].second;
    exact.emplace_back(exact_pattern(name), table[*found].second);
  }
  return depends ? exact : table;
}

}  // namespace

CompiledPatterns::CompiledPatterns(const PatternTable& table, const char* field) {
  for (const auto& [pattern, value] : table) patterns_.emplace_back(Regex("(.*\\.)?(" + pattern + ")$", field), value);
}

std::optional<std::size_t> CompiledPatterns::first_match(const std::string& name) const {
  for (std::size_t i = 0; i < patterns_.size(); ++i) {
    if (matches(i, name)) return i;
  }
  return std::nullopt;
}

double CompiledPatterns::value(const std::string& name, double otherwise) const {
  const auto found = first_match(name);
  return found ? patterns_[*found].second : otherwise;
}

std::string escaped_name(const std::string& name) {
  std::string out;
  for (const char c : name) out += c == '.' ? std::string("\\.") : std::string(1, c);
  return out;
}

std::string exact_pattern(const std::string& name) { return cat("^", escaped_name(name)); }

void clear_patterns(AdapterConfig& config) {
  config.exclude_modules = {};
  config.layers_to_transform.clear();
  config.layers_pattern.clear();
  config.rank_pattern.clear();
  config.alpha_pattern.clear();
}

void put_exact(AdapterConfig& config, const std::string& name, std::int64_t rank, double alpha) {
  if (has_rank(config.peft_type) && rank != config.r)
    config.rank_pattern.emplace_back(exact_pattern(name), static_cast<double>(rank));
  if (has_alpha(config.peft_type) && alpha != config.lora_alpha)
    config.alpha_pattern.emplace_back(exact_pattern(name), alpha);
}

void make_order_free(AdapterConfig& config, const std::vector<std::string>& targets) {
  config.rank_pattern = order_free(config.rank_pattern, targets, "rank_pattern");
  config.alpha_pattern = order_free(config.alpha_pattern, targets, "alpha_pattern");
}

}  // namespace lorikeet
