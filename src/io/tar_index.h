// The regular files of an uncompressed tar archive (POSIX ustar and pax, GNU), by libarchive: names, offsets, sizes.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

namespace lorikeet {

struct TarMember {
  std::string name;
  /// Of the content in the archive, in bytes.
  std::uint64_t offset = 0;
  std::uint64_t size = 0;
};

/// Calls `found` for each regular file, in the archive's order. Sparse files, links and folders are skipped. An archive
/// that follows another in the same file is read too. Returns whether the archive has an end mark; without one, it may
/// have been truncated after a file, which tar accepts. Throws Error if the archive is compressed, corrupt or truncated
/// inside a file.
bool for_each_tar_member(const std::filesystem::path& archive, const std::function<void(const TarMember&)>& found);

}  // namespace lorikeet
