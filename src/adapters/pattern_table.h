// PEFT's rank_pattern and alpha_pattern: values by regular expressions for the end of a module's name. The first match
// applies (peft.utils.get_pattern_key), in the order of the file, which PEFT sorts when it saves an adapter.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "adapters/adapter_config.h"
#include "base/regex.h"

namespace lorikeet {

/// A compiled table. Throws UsageError, starting with `field`, if a pattern does not compile.
class CompiledPatterns {
 public:
  CompiledPatterns(const PatternTable& table, const char* field);

  bool matches(std::size_t index, const std::string& name) const { return patterns_[index].first.match(name); }
  std::optional<std::size_t> first_match(const std::string& name) const;
  double value(const std::string& name, double otherwise) const;

 private:
  std::vector<std::pair<Regex, double>> patterns_;
};

/// Escapes the dots of `name` for a regular expression.
std::string escaped_name(const std::string& name);
/// Returns a key that matches only the module `name`, not others with this suffix.
std::string exact_pattern(const std::string& name);

/// Removes what selects or refines modules by patterns, for a configuration that lists its modules: exclude_modules,
/// layers_to_transform, layers_pattern and both tables.
void clear_patterns(AdapterConfig& config);

/// Adds the rank and alpha of the module `name` to the tables, unless they equal the configuration's or the method has
/// none.
void put_exact(AdapterConfig& config, const std::string& name, std::int64_t rank, double alpha);

/// Makes the meaning of both tables independent of their order for modules named `targets`. A table that already is
/// stays unchanged.
void make_order_free(AdapterConfig& config, const std::vector<std::string>& targets);

}  // namespace lorikeet
