// Extracts one file from an archive: .tar.gz and similar, .zip and .whl, and .deb (an ar archive whose nested
// data.tar.* is searched too). Only the requested file is written, under a name chosen by the caller, so paths and
// links in the archive have no effect.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

namespace lorikeet {

/// Writes `member` of `archive` to `destination` atomically. The name must match exactly except for a leading "./".
/// Throws Error if there is no such regular file, it is larger than `limit` bytes, or the archive is broken. libarchive
/// verifies checksums of zip and xz, but not of gzip: verify a download by its SHA-256 first.
void extract_member(const std::filesystem::path& archive, const std::string& member,
                    const std::filesystem::path& destination, std::uint64_t limit);

/// Decompresses a gzip file. Throws Error if it is broken, truncated, or decompresses to more than `limit` bytes.
void gunzip(const std::filesystem::path& packed, const std::filesystem::path& destination, std::uint64_t limit);

}  // namespace lorikeet
