#include "io/idx.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string>

#include "base/bytes.h"
#include "base/error.h"
#include "base/file.h"
#include "base/text.h"
#include "io/gzip.h"

namespace lorikeet {
namespace {

constexpr std::uint64_t kMaxArrayBytes = 1ULL << 30;
constexpr std::uint64_t kMaxRatio = 1032;  // maximum of deflate (zlib.net, "Technical details")
constexpr std::uint8_t kUnsignedByte = 8;

}  // namespace

IdxArray read_idx(const std::filesystem::path& path, int dimensions) {
  const std::string where = path.string();
  const std::uint64_t file_size = InputFile(path).size();
  GzipInput input(path);
  std::array<std::uint8_t, 4> magic{};
  const std::size_t got = input.read(magic.data(), magic.size());
  if (got < magic.size() || magic[0] != 0 || magic[1] != 0) {
    fail(where, ": got another format, expected an IDX file, which starts with two zero bytes. Download it again.");
  }
  if (magic[2] != kUnsignedByte) fail(where, ": got elements of type ", int{magic[2]}, ", expected 8, unsigned bytes.");
  if (magic[3] != dimensions) {
    fail(where, ": got ", counted(int{magic[3]}, "dimension"), ", expected ", dimensions,
         ". Images have 3, labels have 1.");
  }

  IdxArray array;
  std::optional<std::uint64_t> total = 1;
  for (int i = 0; i < dimensions; ++i) {
    std::array<std::uint8_t, 4> size{};
    if (input.read(size.data(), size.size()) < size.size()) {
      fail(where, ": got a header that ends early, expected ", dimensions, " sizes.");
    }
    array.shape.push_back(load_be32(size.data()));
    total = checked_mul(*total, load_be32(size.data()));
    if (!total || *total > kMaxArrayBytes)
      fail(where, ": got an array larger than ", human_bytes(kMaxArrayBytes), ", expected less.");
  }

  // Before allocating, check that the file can contain what the header declares.
  const std::uint64_t header_size = magic.size() + 4 * static_cast<std::uint64_t>(dimensions);
  const std::uint64_t most = input.gzipped() ? file_size * kMaxRatio : file_size - header_size;
  if (*total > most) {
    fail(where, ": got a file of ", counted(file_size, "byte"), ", expected ", counted(*total, "element"),
         " in it. It is truncated.");
  }
  array.bytes.resize(static_cast<std::size_t>(*total));
  if (const std::size_t read = input.read(array.bytes.data(), array.bytes.size()); read < array.bytes.size()) {
    fail(where, ": got ", counted(read, "element"), ", expected ", with_commas(*total), ". The file is truncated.");
  }
  std::uint8_t after = 0;  // this read also makes zlib verify the checksum
  if (input.read(&after, 1) != 0)
    fail(where, ": got more bytes, expected the file to end after ", counted(*total, "element"), ".");
  return array;
}

}  // namespace lorikeet
