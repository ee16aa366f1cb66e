// zlib's reader of gzip files (RFC 1952), which returns the content of other files unchanged.
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

  /// Fills `into` up to the end of the file and returns the number of bytes read. Throws Error if the compressed data
  /// is corrupt or truncated. zlib verifies the checksum only when reading beyond the end.
  std::size_t read(std::uint8_t* into, std::size_t count);

 private:
  std::string path_;
  gzFile_s* file_;
};

}  // namespace lorikeet
