// Reads the directory of a zip archive with uncompressed members, as written by torch.save (APPNOTE.TXT, with the zip64
// extension). Nothing is decompressed, so no member can be larger than the file.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/file.h"

namespace lorikeet {

struct ZipMember {
  std::string name;
  std::uint64_t offset;  // of its first byte in the file
  std::uint64_t size;
};

/// Returns the members in directory order. Throws Error if the archive is broken or truncated, or a member is
/// compressed or encrypted, duplicated, overlaps another, or is not completely inside the file. Checksums are not
/// verified, because torch.save can omit them.
std::vector<ZipMember> read_stored_zip(const InputFile& file);

}  // namespace lorikeet
