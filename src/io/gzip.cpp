#include "io/gzip.h"

#include <zlib.h>

#include <algorithm>
#include <string_view>

#include "base/error.h"
#include "base/file.h"

namespace lorikeet {
namespace {

constexpr std::size_t kAtOnce = 1 << 28;  // the count of gzread is an int
constexpr unsigned kBuffer = 1 << 15;

}  // namespace

GzipInput::GzipInput(const std::filesystem::path& path) : path_(path.string()), file_(nullptr) {
  static_cast<void>(InputFile(path));  // rejects folders and devices
  file_ = gzopen(path_.c_str(), "rbe");
  if (file_ == nullptr) fail(path_, ": cannot be opened.");
  gzbuffer(file_, kBuffer);
}

GzipInput::~GzipInput() { gzclose_r(file_); }

bool GzipInput::gzipped() const { return gzdirect(file_) == 0; }

std::size_t GzipInput::read(std::uint8_t* into, std::size_t count) {
  std::size_t done = 0;
  while (done < count) {
    const int got = gzread(file_, into + done, static_cast<unsigned>(std::min(count - done, kAtOnce)));
    // A file truncated inside the compressed data sets only a pending error.
    int error = Z_OK;
    const char* message = gzerror(file_, &error);
    if (got < 0 || (error != Z_OK && error != Z_STREAM_END)) {
      std::string_view reason = message;
      if (reason.starts_with(path_ + ": ")) reason.remove_prefix(path_.size() + 2);
      fail(path_, ": got broken gzip data (", reason, "), expected a complete file. Download it again.");
    }
    if (got == 0) break;
    done += static_cast<std::size_t>(got);
  }
  return done;
}

}  // namespace lorikeet
