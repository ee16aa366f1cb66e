// Downloads by libcurl: resumed after an interruption, verified, and renamed into place only when complete.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "lorikeet/progress.h"

namespace lorikeet {

struct Download {
  /// Tried in order. The base URL in $LORIKEET_MIRROR, if set, is tried first, with the file name of the first URL.
  std::vector<std::string> urls;
  /// 64 hexadecimal digits, or a prefix of at least 8. Empty: not checked.
  std::string sha256;
  std::filesystem::path destination;
  /// Name in messages and progress. Empty: the destination's name.
  std::string name = {};
  /// In bytes. A file of another size is rejected. 0: unknown.
  std::uint64_t size = 0;
  /// In bytes. A larger file is rejected.
  std::uint64_t limit = 0;
  DownloadCallback progress = {};
  /// Appended to the message if every URL failed: what the user can do.
  std::string hint = {};
  /// Request headers, "Name: value". Authorization is not sent to other hosts after redirects.
  std::vector<std::string> headers = {};
  /// Suffix of the part file beside the destination.
  std::string part_ending = ".part";
  /// Maximum number of consecutive retries after a broken connection or a temporary error such as "too many requests"
  /// (fetch/retries.h).
  int retries = 0;
  bool use_mirror = true;
};

/// Throws Error, with the reason for each URL, if all fail. Received data stays beside the destination as `NAME.part`.
/// The next call resumes it unless its checksum is wrong.
void download(const Download& request);

}  // namespace lorikeet
