#include "io/idx.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/error.h"
#include "base/file.h"
#include "base/text.h"

namespace lorikeet {
namespace {

constexpr std::uint64_t kMaxBytes = 1ULL << 30;
constexpr std::uint64_t kMaxRatio = 1032;  // deflate cannot do better (zlib.net, "Technical details")
constexpr std::uint8_t kUnsignedByte = 8;

// zlib's reader, which passes a file that is not gzipped through as it is.
class GzipInput {
 public:
  explicit GzipInput(const std::filesystem::path& path) : path_(path.string()), file_(gzopen(path_.c_str(), "rbe")) {
    if (file_ == nullptr) fail(path_, ": cannot be opened.");
    gzbuffer(file_, 1 << 17);
  }
  ~GzipInput() { gzclose_r(file_); }
  GzipInput(const GzipInput&) = delete;
  GzipInput& operator=(const GzipInput&) = delete;

  bool gzipped() const { return gzdirect(file_) == 0; }

  /// Fills `into` unless the file ends before. Throws Error where the compressed data are corrupt or cut off.
  std::size_t read(std::uint8_t* into, std::size_t count) {
    constexpr std::size_t kAtOnce = 1 << 28;  // the count of gzread is an int
    std::size_t done = 0;
    while (done < count) {
      const int got = gzread(file_, into + done, static_cast<unsigned>(std::min(count - done, kAtOnce)));
      // A file cut off inside the compressed data gives no error but one that is only pending.
      int error = Z_OK;
      const char* message = gzerror(file_, &error);
      if (got < 0 || (error != Z_OK && error != Z_STREAM_END)) {
        std::string_view reason = message;
        if (reason.starts_with(path_ + ": ")) reason.remove_prefix(path_.size() + 2);
        fail(path_, ": got broken gzip data (", reason, "), expected a whole file. Download it again.");
      }
      if (got == 0) break;
      done += static_cast<std::size_t>(got);
    }
    return done;
  }

 private:
  std::string path_;
  gzFile file_;
};

}  // namespace

IdxArray read_idx(const std::filesystem::path& path, int dimensions) {
  const std::string where = path.string();
  const std::uint64_t file_size = InputFile(path).size();  // also refuses folders and devices
  GzipInput input(path);
  std::array<std::uint8_t, 4> magic{};
  const std::size_t got = input.read(magic.data(), magic.size());
  if (got < magic.size() || magic[0] != 0 || magic[1] != 0) {
    fail(where, ": got something else, expected an IDX file, which begins with two zero bytes. Download it again.");
  }
  if (magic[2] != kUnsignedByte) fail(where, ": got elements of type ", int{magic[2]}, ", expected 8, unsigned bytes.");
  if (magic[3] != dimensions) {
    fail(where, ": got ", int{magic[3]}, " dimensions, expected ", dimensions, ". Images have 3, labels have 1.");
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
    if (!total || *total > kMaxBytes) fail(where, ": got an array larger than ", human_bytes(kMaxBytes), ", expected less.");
  }

  // The header alone must not make us allocate: the file must be able to hold what it announces.
  const std::uint64_t header_size = magic.size() + 4 * static_cast<std::uint64_t>(dimensions);
  const std::uint64_t most = input.gzipped() ? file_size * kMaxRatio : file_size - header_size;
  if (*total > most) {
    fail(where, ": got a file of ", file_size, " bytes, expected ", *total, " elements in it. It is truncated.");
  }
  array.bytes.resize(static_cast<std::size_t>(*total));
  if (const std::size_t read = input.read(array.bytes.data(), array.bytes.size()); read < array.bytes.size()) {
    fail(where, ": got ", read, " elements, expected ", *total, ". The file is truncated.");
  }
  std::uint8_t after = 0;  // reading on also makes zlib compare the checksum
  if (input.read(&after, 1) != 0) fail(where, ": got more bytes, expected the file to end after ", *total, " elements.");
  return array;
}

}  // namespace lorikeet
