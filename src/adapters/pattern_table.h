// PEFT's rank_pattern and alpha_pattern: values by regular expressions for the end of a module's name. The first match
// applies (peft.utils.get_pattern_key), in the order of the file, which PEFT sorts when it saves an adapter.
// FourierFT's n_frequency_pattern has another rule.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "adapters/adapter_config.h"
#include "base/regex.h"

namespace lorikeet {

/// How a pattern selects a module. kNameEnd: it matches the name or its end after a dot. kFrequency, the rule of
/// n_frequency_pattern (peft/tuners/fourierft/model.py): it matches the end after a dot, or is the name itself, which
/// applies only where no pattern matches an end.
enum class PatternRule { kNameEnd, kFrequency };

/// A compiled table. Throws UsageError, starting with `field`, if a pattern does not compile.
class CompiledPatterns {
 public:
  CompiledPatterns(const PatternTable& table, const char* field, PatternRule rule = PatternRule::kNameEnd);

  bool matches(std::size_t index, const std::string& name) const;
  std::optional<std::size_t> first_match(const std::string& name) const;
  double value(const std::string& name, double otherwise) const;

 private:
  struct Pattern {
    Regex regex;
    std::string name;  // for kFrequency
    double value;
  };
  std::vector<Pattern> patterns_;
  PatternRule rule_;
};

/// Escapes the dots of `name` for a regular expression.
std::string escaped_name(const std::string& name);
/// Returns a key that matches only the module `name`, not others with this suffix.
std::string exact_pattern(const std::string& name);

/// Removes what selects or refines modules by patterns, for a configuration that lists its modules: exclude_modules,
/// layers_to_transform, layers_pattern and the tables.
void clear_patterns(AdapterConfig& config);

/// Of these, removes exclude_modules, layers_to_transform and layers_pattern.
void clear_module_filters(AdapterConfig& config);

/// Adds the rank and alpha of the module `name` to the tables, unless they equal the configuration's or the method has
/// none.
void put_exact(AdapterConfig& config, const std::string& name, std::int64_t rank, double alpha);

/// Makes the meaning of the tables independent of their order for modules named `targets`. A table that already is
/// stays unchanged. Throws Error if n_frequency_pattern cannot express its values in sorted order.
void make_order_free(AdapterConfig& config, const std::vector<std::string>& targets);

}  // namespace lorikeet
