// Strict parsing of untrusted JSON, with limits. Objects keep the file's order, which PEFT's patterns depend on.
#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace lorikeet {

using Json = nlohmann::ordered_json;

/// Maximum number of values in a document, containers included. Bounds the memory that a 100 MB header needs.
constexpr std::size_t kMaxJsonValues = 1'000'000;

/// Parses `text`; error messages start with `where`. Rejects duplicate keys, nesting deeper than `max_depth`, more than
/// kMaxJsonValues values, trailing text and invalid UTF-8.
Json parse_json(std::string_view text, const std::string& where, std::size_t max_depth = 32);

/// Serialises the document. Invalid UTF-8, which file names may contain, becomes U+FFFD.
std::string json_text(const Json& value, int indent = -1);

/// Describes the value's type for messages: "a string", "an object" …
std::string json_kind(const Json& value);

}  // namespace lorikeet
