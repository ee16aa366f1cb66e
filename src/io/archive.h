// One file out of an archive: .tar.gz and its relatives, .zip and .whl, and .deb (an ar archive whose data.tar.* holds
// the files; it is looked into as if it were one archive). Only the file asked for is written, under the name that the
// caller gives, so that paths and links in the archive lead nowhere.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

namespace lorikeet {

/// Writes `member` of `archive` to `destination`, completely or not at all. The name must match exactly except for a
/// leading "./". Throws Error if there is no such regular file, it is larger than `limit` bytes, or the archive is
/// broken.
/// (libarchive compares the checksums of zip and xz, not of gzip: verify a download by its SHA-256 first.)
void extract_member(const std::filesystem::path& archive, const std::string& member,
                    const std::filesystem::path& destination, std::uint64_t limit);

/// Unpacks a gzip file. Throws Error if it is broken, cut off, or larger than `limit` bytes once unpacked.
void gunzip(const std::filesystem::path& packed, const std::filesystem::path& destination, std::uint64_t limit);

}  // namespace lorikeet
