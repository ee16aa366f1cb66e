#define PCRE2_CODE_UNIT_WIDTH 8
#include "base/regex.h"

#include <pcre2.h>

#include <array>

#include "base/error.h"
#include "base/text.h"

namespace lorikeet {
namespace {

constexpr std::size_t kMaxPattern = 4096;
constexpr std::uint32_t kMatchLimit = 100'000;
constexpr std::uint32_t kHeapLimitKib = 16'384;

std::string error_text(int code) {
  std::array<PCRE2_UCHAR, 256> buffer{};
  pcre2_get_error_message(code, buffer.data(), buffer.size());
  return reinterpret_cast<const char*>(buffer.data());
}

using MatchData = std::unique_ptr<pcre2_match_data, decltype(&pcre2_match_data_free)>;

}  // namespace

struct Regex::Code {
  std::string where;
  std::string pattern;
  std::unique_ptr<pcre2_code, decltype(&pcre2_code_free)> compiled{nullptr, pcre2_code_free};
  std::unique_ptr<pcre2_match_context, decltype(&pcre2_match_context_free)> context{pcre2_match_context_create(nullptr),
                                                                                    pcre2_match_context_free};

  // Returns whether the pattern matches. If so, fills `data`.
  bool run(std::string_view text, std::uint32_t options, const MatchData& data) const {
    const int result = pcre2_match(compiled.get(), reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), 0, options,
                                   data.get(), context.get());
    if (result == PCRE2_ERROR_NOMATCH) return false;
    if (result < 0)
      fail(where, ": got the pattern '", printable(pattern), "', which cannot be matched: ", error_text(result),
           ". Write a simpler one.");
    return true;
  }

  MatchData data() const {
    return {pcre2_match_data_create_from_pattern(compiled.get(), nullptr), pcre2_match_data_free};
  }
};

Regex::Regex(std::string_view pattern, const std::string& where) {
  if (pattern.size() > kMaxPattern)
    fail_usage(where, ": got a pattern of ", pattern.size(), " bytes, expected at most ", kMaxPattern, ".");
  auto code = std::make_shared<Code>();
  code->where = where;
  code->pattern = pattern;
  int error = 0;
  PCRE2_SIZE position = 0;
  code->compiled.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                                     PCRE2_NEVER_BACKSLASH_C, &error, &position, nullptr));
  if (code->compiled == nullptr) {
    fail_usage(where, ": got '", printable(pattern), "', which is not a regular expression: ", error_text(error),
               " (at character ", position, ").");
  }
  pcre2_set_match_limit(code->context.get(), kMatchLimit);
  pcre2_set_heap_limit(code->context.get(), kHeapLimitKib);
  code_ = std::move(code);
}

bool Regex::full_match(std::string_view text) const {
  return code_->run(text, PCRE2_ANCHORED | PCRE2_ENDANCHORED, code_->data());
}

bool Regex::match(std::string_view text) const { return code_->run(text, PCRE2_ANCHORED, code_->data()); }

bool Regex::search(std::string_view text) const { return code_->run(text, 0, code_->data()); }

std::optional<std::string> Regex::match_index(std::string_view text) const {
  const MatchData data = code_->data();
  if (!code_->run(text, PCRE2_ANCHORED, data)) return std::nullopt;
  PCRE2_UCHAR* value = nullptr;
  PCRE2_SIZE length = 0;
  const auto* name = reinterpret_cast<PCRE2_SPTR>("idx");
  if (pcre2_substring_get_byname(data.get(), name, &value, &length) != 0) return std::nullopt;
  std::string out(reinterpret_cast<const char*>(value), length);
  pcre2_substring_free(value);
  return out;
}

}  // namespace lorikeet
