// io/idx.h: an IDX file, plain or gzipped, read as images and, if only the number of dimensions is wrong, as labels.
#include <string_view>

#include "fuzz.h"
#include "io/idx.h"

using namespace lorikeet;

namespace {

void read_whole(const std::string& path, int dimensions) {
  const IdxArray array = read_idx(path, dimensions);
  std::uint64_t product = 1;
  for (const std::int64_t n : array.shape) product *= static_cast<std::uint64_t>(n);
  require(product == array.bytes.size(), "an array has as many elements as its shape says");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const MemoryFile file;
  const std::string& path = file.hold(data, size);
  try {
    read_whole(path, 3);
  } catch (const Error& error) {
    if (std::string_view(error.what()).find("1 dimension,") != std::string_view::npos)
      accepted([&] { read_whole(path, 1); });
  }
  return 0;
}
