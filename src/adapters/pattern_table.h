// PEFT's rank_pattern and alpha_pattern: values by regular expressions for the end of a module's name. The first that
// matches counts (peft.utils.get_pattern_key), in the order of the file, which PEFT sorts when it saves an adapter.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "adapters/adapter_config.h"
#include "base/regex.h"

namespace lorikeet {

/// A table, compiled. Throws UsageError, beginning with `field`, for a pattern that does not compile.
class CompiledPatterns {
 public:
  CompiledPatterns(const PatternTable& table, const char* field);

  bool matches(std::size_t index, const std::string& name) const { return patterns_[index].first.match(name); }
  std::optional<std::size_t> first_match(const std::string& name) const;
  double value(const std::string& name, double otherwise) const;

 private:
  std::vector<std::pair<Regex, double>> patterns_;
};

/// An expression for `name` itself: dots escaped.
std::string escaped_name(const std::string& name);
/// A key that matches the module `name` alone, not others that end like it.
std::string exact_pattern(const std::string& name);

/// Makes both tables mean the same in every order, for modules named `targets`. A table that does already stays as it
/// is.
void make_order_free(AdapterConfig& config, const std::vector<std::string>& targets);

}  // namespace lorikeet
