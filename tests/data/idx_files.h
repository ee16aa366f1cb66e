// Small files in MNIST's format (io/idx.h).
#pragma once

#include <doctest/doctest.h>
#include <zlib.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "base/file.h"
#include "temporary_folder.h"

inline std::string idx(const std::vector<std::uint32_t>& shape, const std::string& elements) {
  std::string out{'\0', '\0', '\x08', static_cast<char>(shape.size())};
  for (const std::uint32_t size : shape) {
    for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(size >> shift);
  }
  return out + elements;
}

inline std::string gzip(const std::string& content) {
  const TemporaryFolder folder;
  const std::string path = (folder.path / "x.gz").string();
  const gzFile file = gzopen(path.c_str(), "wb");
  REQUIRE(gzwrite(file, content.data(), static_cast<unsigned>(content.size())) == static_cast<int>(content.size()));
  gzclose(file);
  return lorikeet::read_file(path, 1 << 28);
}

/// The four files of a dataset: 3 training images of 2 × 2 with labels 0 2 1, then 2 test images with labels 2 0.
struct IdxFile {
  std::string name;
  std::string content;
};
inline std::vector<IdxFile> idx_dataset() {
  return {{"train-images-idx3-ubyte", idx({3, 2, 2}, "abcdefghijkl")},
          {"train-labels-idx1-ubyte", idx({3}, std::string("\0\2\1", 3))},
          {"t10k-images-idx3-ubyte", idx({2, 2, 2}, "mnopqrst")},
          {"t10k-labels-idx1-ubyte", idx({2}, std::string("\2\0", 2))}};
}
