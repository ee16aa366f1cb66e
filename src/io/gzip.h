// zlib's reader of gzip files (RFC 1952), which passes a file that is not gzipped through as it is.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

struct gzFile_s;

namespace lorikeet {

class GzipInput {
 public:
  /// Throws Error if `path` cannot be opened or is not a regular file.
  explicit GzipInput(const std::filesystem::path& path);
  ~GzipInput();
  GzipInput(const GzipInput&) = delete;
  GzipInput& operator=(const GzipInput&) = delete;

  bool gzipped() const;

  /// Fills `into` unless the file ends before; gives the bytes read. Throws Error if the compressed data are corrupt
  /// or cut off. (zlib compares the checksum when it is asked for more than there is.)
  std::size_t read(std::uint8_t* into, std::size_t count);

 private:
  std::string path_;
  gzFile_s* file_;
};

}  // namespace lorikeet
