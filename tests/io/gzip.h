// Gzip files for the tests, made by zlib itself.
#pragma once

#include <zlib.h>

#include <fstream>
#include <iterator>
#include <string>

#include "temporary_folder.h"

/// `content` as a gzip file.
inline std::string gzip(const std::string& content) {
  const TemporaryFolder folder;
  const std::string path = (folder.path / "x.gz").string();
  const gzFile file = gzopen(path.c_str(), "wb");
  gzwrite(file, content.data(), static_cast<unsigned>(content.size()));
  gzclose(file);
  std::ifstream in(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(in), {});
}
