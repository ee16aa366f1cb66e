// zlib's raw deflate (RFC 1951) of short texts with a preset dictionary, and its CRC-32.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace lorikeet {

std::string deflate_text(std::string_view text, std::string_view dictionary);

/// Throws Error, which `where` begins, if `bytes` are not exactly one deflated text of at most `limit` bytes.
std::string inflate_text(std::string_view bytes, std::string_view dictionary, std::size_t limit,
                         const std::string& where);

/// CRC-32 of zlib, gzip and PNG.
std::uint32_t crc32_of(std::string_view bytes);

}  // namespace lorikeet
