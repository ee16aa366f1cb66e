// Text for people: near misses for misspelt names, numbers with units.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace lorikeet {

/// Levenshtein distance in bytes.
std::size_t edit_distance(std::string_view a, std::string_view b);

/// The up to `count` candidates nearest to `name`, nearest first; those too far to be a misspelling are left out.
std::vector<std::string> nearest(std::string_view name, const std::vector<std::string>& candidates,
                                 std::size_t count = 1);

/// " Did you mean 'x'?", or what the choice is where nothing is near and the list is short. Begins with a space; meant
/// to end a message.
std::string did_you_mean(std::string_view name, const std::vector<std::string>& candidates);

std::string join(const std::vector<std::string>& parts, std::string_view separator);

/// "a, b, c and 4 more": at most `most` of the parts, and how many others there are.
std::string join_first(const std::vector<std::string>& parts, std::size_t most);

/// 2714610 → "2,714,610".
std::string with_commas(std::int64_t value);

/// 8274000 → "7.89 MiB".
std::string human_bytes(std::uint64_t bytes);

/// 0.9712 with 4 decimals → "0.9712".
std::string fixed(double value, int decimals);

/// 95 → "1:35", 4000 → "1:06:40".
std::string clock(double seconds);

/// Bytes of the well-formed UTF-8 character that `text` begins with; 0 where it begins with none (overlong forms and
/// surrogates are none).
std::size_t utf8_character(std::string_view text);

/// Whether `text` is well-formed UTF-8: no overlong forms, no surrogates.
bool is_utf8(std::string_view text);

/// `text` with U+FFFD for each byte that is not part of a well-formed character: for files that must be UTF-8.
std::string to_utf8(std::string_view text);

/// What an untrusted string may look like in a message: control characters and what is no UTF-8 escaped, cut at `limit`
/// bytes.
std::string printable(std::string_view text, std::size_t limit = 120);

}  // namespace lorikeet
