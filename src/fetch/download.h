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
  /// What messages and progress call the file; empty: the destination's name.
  std::string name = {};
  /// Bytes; a file of another size is refused. 0: not known.
  std::uint64_t size = 0;
  /// Bytes; a larger file is refused.
  std::uint64_t limit = 0;
  DownloadCallback progress = {};
  /// Ends the message where every address failed: what the user can do.
  std::string hint = {};
  /// Headers of the requests, "Name: value". An Authorization is not sent to the other hosts of redirects.
  std::vector<std::string> headers = {};
  /// What is received is kept beside the destination under its name with this ending.
  std::string part_ending = ".part";
  /// How often a request is made again in a row, after a connection that broke off or an answer that passes, such as
  /// "too many requests" (fetch/retries.h).
  int retries = 0;
  bool use_mirror = true;
};

/// Throws Error, with the reason for each address, where none gives the file. What was received stays beside the
/// destination as `NAME.part`; the next call resumes it, unless its checksum is wrong.
void download(const Download& request);

}  // namespace lorikeet
