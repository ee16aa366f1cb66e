// The header of an adapter's file: what adapter_config.json and lorikeet.json hold, as JSON without what has its
// default value, deflated with a preset dictionary. docs/format/lorikeet.md has the grammar.
#pragma once

#include <string>
#include <string_view>

#include "adapters/adapt.h"
#include "adapters/adapter_metadata.h"

namespace lorikeet {

/// The header without the SHA-256 of the base and the activation ranges, which are stored elsewhere.
Json small_header(const AdapterSpec& spec, const AdapterMetadata& metadata);

/// Reads it. Error messages start with `where`. The SHA-256 is `sha256`.
AdapterMetadata parse_small_header(const Json& header, const std::string& sha256, const std::string& where,
                                   AdapterSpec& spec);

/// The preset dictionary of version 1 of the format, which is part of it and must not change.
std::string_view header_dictionary();

}  // namespace lorikeet
