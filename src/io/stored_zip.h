// The directory of a zip archive whose members are stored without compression, as torch.save writes them (APPNOTE.TXT,
// with the zip64 extension). Nothing is decompressed, so that no member can be larger than the file.
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

/// Members in the order of the directory. Throws Error if the archive is broken or truncated, or a member is
/// compressed or encrypted, occurs twice, overlaps another, or does not lie wholly in the file.
/// Checksums are not compared: torch.save can be told to leave them out.
std::vector<ZipMember> read_stored_zip(const InputFile& file);

}  // namespace lorikeet
