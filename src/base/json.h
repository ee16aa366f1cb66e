// JSON from outside: parsed strictly, within limits. Objects keep the order of the file (PEFT's patterns depend on it).
#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace lorikeet {

using Json = nlohmann::ordered_json;

/// Of one document, containers included: what a header of 100 MB may become in memory is bounded by it.
constexpr std::size_t kMaxJsonValues = 1'000'000;

/// Parses `text`; `where` begins the message of an Error. Refuses duplicate keys, nesting deeper than `max_depth`, more
/// values than kMaxJsonValues, anything after the document, and text that is not UTF-8.
Json parse_json(std::string_view text, const std::string& where, std::size_t max_depth = 32);

/// The document as text. Bytes that are not UTF-8, as file names may have them, become U+FFFD.
std::string json_text(const Json& value, int indent = -1);

/// What kind of value this is, for messages: "a string", "an object" …
std::string json_kind(const Json& value);

}  // namespace lorikeet
