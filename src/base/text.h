// Text for messages: suggestions for misspelt names, numbers with units.
#pragma once

#include <concepts>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace lorikeet {

/// Levenshtein distance in bytes.
std::size_t edit_distance(std::string_view a, std::string_view b);

/// Returns up to `count` candidates close enough to `name` to be a misspelling, nearest first.
std::vector<std::string> nearest(std::string_view name, const std::vector<std::string>& candidates,
                                 std::size_t count = 1);

/// Returns " Did you mean 'x'?", or the list of candidates if none is near and the list is short. Starts with a space,
/// to be appended to a message.
std::string did_you_mean(std::string_view name, const std::vector<std::string>& candidates);

std::string join(const std::vector<std::string>& parts, std::string_view separator);

/// "a, b, c and 4 more": the first `most` parts and the number of the others.
std::string join_first(const std::vector<std::string>& parts, std::size_t most);

/// The block of a module by its name: the part up to the first component with a digit, "layer4" of "layer4.1.conv2",
/// "blocks.0" of "blocks.0.attn.qkv". Empty if there is none.
std::string block_of(const std::string& module);

/// The number if all of `text` is a decimal integer that fits 64 bits, e.g. "-12"; nothing otherwise.
std::optional<std::int64_t> to_integer(std::string_view text);

/// "2714610" → "2,714,610".
std::string grouped_digits(std::string digits);

/// 2714610 → "2,714,610".
template <std::integral Integer>
std::string with_commas(Integer value) {
  return grouped_digits(std::to_string(value));
}

/// "class" → "classes", "training image" → "training images": a regular English noun, after any adjectives.
std::string plural_of(std::string_view noun);

/// (1, "class") → "1 class", (2400, "image") → "2,400 images"; see plural_of.
template <std::integral Integer>
std::string counted(Integer count, std::string_view noun) {
  return with_commas(count) + " " + (count == 1 ? std::string(noun) : plural_of(noun));
}

/// 8274000 → "7.89 MiB".
std::string human_bytes(std::uint64_t bytes);

/// 0.9712 with 4 decimals → "0.9712".
std::string fixed(double value, int decimals);

/// Seconds of "90s", "10m", "1h30m", "1.5h" or a number without a unit; nothing if `text` is not such a time.
std::optional<double> parse_seconds(std::string_view text);

/// 95 → "1:35", 4000 → "1:06:40".
std::string clock(double seconds);

/// Returns the length of the well-formed UTF-8 character at the start of `text`; 0 if there is none. Overlong forms and
/// surrogates are not well-formed.
std::size_t utf8_character(std::string_view text);

/// Whether `text` is well-formed UTF-8: no overlong forms, no surrogates.
bool is_utf8(std::string_view text);

/// Replaces each byte that is not part of a well-formed UTF-8 character by U+FFFD.
std::string to_utf8(std::string_view text);

/// `text` with ASCII letters in lower case.
std::string lowercase(std::string_view text);

/// `text` with all bytes but ASCII letters, digits and those of `others` replaced by '_': safe in a Python string.
std::string plain_text(std::string_view text, std::string_view others);

/// Makes an untrusted string safe for a message: escapes control characters and invalid UTF-8, and cuts it at `limit`
/// bytes.
std::string printable(std::string_view text, std::size_t limit = 120);

}  // namespace lorikeet
