// Downloads by libcurl: resumed after an interrupted attempt, verified, and renamed into place only when complete.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "lorikeet/progress.h"

namespace lorikeet {

struct Download {
  /// Tried in order. $LORIKEET_MIRROR, a base address, is tried first, with the file name of the first of them.
  std::vector<std::string> urls;
  /// Of the file: 64 hexadecimal digits, or a prefix of at least 8; empty: not checked.
  std::string sha256;
  std::filesystem::path destination;
  /// Bytes; a larger file is refused.
  std::uint64_t limit = 0;
  DownloadCallback progress = {};
  /// Ends the message where every address failed: what the user can do.
  std::string hint = {};
};

/// Throws Error, with the reason for each address, where none gives the file. What was received stays beside the
/// destination as `NAME.part`; the next call resumes it, unless its checksum is wrong.
void download(const Download& request);

}  // namespace lorikeet
