// Regular expressions in the syntax of Python's `re`, matched by PCRE2 with limits: a pattern from an untrusted adapter
// must neither run forever nor exhaust the stack.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace lorikeet {

class Regex {
 public:
  /// Throws UsageError, starting with `where`, if the pattern does not compile or is longer than 4 KiB.
  Regex(std::string_view pattern, const std::string& where);

  /// Python's `re.fullmatch`. Throws Error if the pattern takes too long on `text`.
  bool full_match(std::string_view text) const;
  /// Python's `re.match`: from the start of `text`, not necessarily to its end.
  bool match(std::string_view text) const;
  /// Python's `re.search`.
  bool search(std::string_view text) const;
  /// Returns the text of the named group "idx" after `match`; empty if it did not participate in the match.
  std::optional<std::string> match_index(std::string_view text) const;

 private:
  struct Code;
  std::shared_ptr<const Code> code_;
};

}  // namespace lorikeet
