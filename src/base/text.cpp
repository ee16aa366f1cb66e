#include "base/text.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <numeric>

#include "base/error.h"

namespace lorikeet {

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), 0);
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t above = row[j];
      row[j] = std::min({above + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0 : 1)});
      diagonal = above;
    }
  }
  return row[b.size()];
}

std::vector<std::string> nearest(std::string_view name, const std::vector<std::string>& candidates, std::size_t count) {
  constexpr std::size_t kLongest = 200;  // a longer "name" is not a misspelling, and the distance is quadratic
  if (name.size() > kLongest) return {};
  std::vector<std::pair<std::size_t, std::string>> ranked;
  const std::size_t limit = std::max<std::size_t>(2, name.size() / 2);
  for (const auto& candidate : candidates) {
    const auto [shorter, longer] = std::minmax({name.size(), candidate.size()});
    if (longer - shorter > limit) continue;  // a lower bound of the distance, much faster to compute
    const std::size_t distance = edit_distance(name, candidate);
    if (distance <= limit) ranked.emplace_back(distance, candidate);
  }
  std::stable_sort(ranked.begin(), ranked.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<std::string> out;
  for (std::size_t i = 0; i < std::min(count, ranked.size()); ++i) out.push_back(ranked[i].second);
  return out;
}

std::string did_you_mean(std::string_view name, const std::vector<std::string>& candidates) {
  const auto near = nearest(name, candidates);
  if (!near.empty()) return cat(" Did you mean '", near.front(), "'?");
  constexpr std::size_t kListable = 30;
  if (candidates.empty() || candidates.size() > kListable) return "";
  return cat(" Choose one of: ", join(candidates, ", "), ".");
}

std::string join(const std::vector<std::string>& parts, std::string_view separator) {
  std::string out;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (i > 0) out += separator;
    out += parts[i];
  }
  return out;
}

std::string join_first(const std::vector<std::string>& parts, std::size_t most) {
  if (parts.size() <= most) return join(parts, ", ");
  const std::vector<std::string> first(parts.begin(), parts.begin() + static_cast<std::ptrdiff_t>(most));
  return cat(join(first, ", "), " and ", parts.size() - most, " more");
}

std::string block_of(const std::string& module) {
  const std::size_t digit = module.find_first_of("0123456789");
  return digit == std::string::npos ? "" : module.substr(0, module.find('.', digit));
}

std::optional<std::int64_t> to_integer(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() ? std::optional(value) : std::nullopt;
}

std::optional<double> parse_seconds(std::string_view text) {
  double total = 0;
  const char* at = text.data();
  const char* const end = at + text.size();
  if (at == end) return std::nullopt;
  while (at != end) {
    double count = 0;
    const auto [after, error] = std::from_chars(at, end, count, std::chars_format::fixed);
    if (error != std::errc() || !(count >= 0)) return std::nullopt;
    const char unit = after == end ? 's' : *after;
    const bool is_unit = unit == 's' || unit == 'm' || unit == 'h';
    if (!is_unit || (after == end && at != text.data())) return std::nullopt;
    total += count * (unit == 'h' ? 3600 : unit == 'm' ? 60 : 1);
    at = after == end ? end : after + 1;
  }
  return total;
}

std::string grouped_digits(std::string digits) {
  const std::size_t first = digits.starts_with('-') ? 1 : 0;
  for (std::size_t i = digits.size(); i > first + 3;) {
    i -= 3;
    digits.insert(i, ",");
  }
  return digits;
}

std::string plural_of(std::string_view noun) {
  const auto ends = [&](std::string_view end) { return noun.ends_with(end); };
  std::string out(noun);
  if (ends("s") || ends("x") || (ends("ch") && !ends("och")) || ends("sh")) {
    out += "es";
  } else if (ends("y") && !ends("ay") && !ends("ey") && !ends("oy")) {
    out.replace(out.size() - 1, 1, "ies");
  } else {
    out += "s";
  }
  return out;
}

std::string human_bytes(std::uint64_t bytes) {
  constexpr std::array<const char*, 5> kUnits{"B", "KiB", "MiB", "GiB", "TiB"};
  auto value = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (value >= 1024 && unit + 1 < kUnits.size()) {
    value /= 1024;
    ++unit;
  }
  return unit == 0 ? cat(bytes, " B") : cat(fixed(value, value < 10 ? 2 : 1), " ", kUnits[unit]);
}

std::string fixed(double value, int decimals) {
  std::array<char, 64> buffer{};
  std::snprintf(buffer.data(), buffer.size(), "%.*f", decimals, value);
  return buffer.data();
}

std::string clock(double seconds) {
  const auto total = static_cast<long long>(std::llround(std::max(0.0, seconds)));
  std::array<char, 64> buffer{};
  if (total >= 3600) {
    std::snprintf(buffer.data(), buffer.size(), "%lld:%02lld:%02lld", total / 3600, total / 60 % 60, total % 60);
  } else {
    std::snprintf(buffer.data(), buffer.size(), "%lld:%02lld", total / 60, total % 60);
  }
  return buffer.data();
}

std::size_t utf8_character(std::string_view text) {
  if (text.empty()) return 0;
  const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
  const std::uint8_t first = byte(0);
  const std::size_t length = first < 0x80   ? 1
                             : first < 0xc2 ? 0
                             : first < 0xe0 ? 2
                             : first < 0xf0 ? 3
                             : first < 0xf5 ? 4
                                            : 0;
  if (length == 0 || length > text.size()) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
  }
  // The second byte excludes overlong forms, surrogates and values above U+10FFFF.
  const bool wrong = (first == 0xe0 && byte(1) < 0xa0) || (first == 0xed && byte(1) > 0x9f) ||
                     (first == 0xf0 && byte(1) < 0x90) || (first == 0xf4 && byte(1) > 0x8f);
  return wrong ? 0 : length;
}

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    const std::size_t length = utf8_character(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

std::string to_utf8(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const std::size_t length = utf8_character(text);
    out += length == 0 ? std::string_view("\xef\xbf\xbd") : text.substr(0, length);
    text.remove_prefix(length == 0 ? 1 : length);
  }
  return out;
}

std::string lowercase(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return out;
}

std::string plain_text(std::string_view text, std::string_view others) {
  std::string out(text);
  for (char& c : out) {
    const bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (!is_plain && others.find(c) == std::string_view::npos) c = '_';
  }
  return out;
}

std::string printable(std::string_view text, std::size_t limit) {
  const bool cut = text.size() > limit;
  std::string out;
  for (std::string_view rest = text.substr(0, limit); !rest.empty();) {
    const std::size_t length = utf8_character(rest);
    const auto first = static_cast<unsigned char>(rest[0]);
    const bool control =
        length == 1 ? first < 0x20 || first == 0x7f
                    : length == 2 && first == 0xc2 && static_cast<unsigned char>(rest[1]) < 0xa0;  // C0, DEL, C1
    if (length > 0 && !control) {
      out += rest.substr(0, length);
      rest.remove_prefix(length);
      continue;
    }
    if (length == 0 && cut && rest.size() < 4 && utf8_character(text.substr(limit - rest.size())) > 0)
      break;  // do not split a character
    std::array<char, 8> escape{};
    std::snprintf(escape.data(), escape.size(), "\\x%02x", static_cast<unsigned>(first));
    out += escape.data();
    rest.remove_prefix(1);
  }
  return cut ? out + "…" : out;
}

}  // namespace lorikeet
