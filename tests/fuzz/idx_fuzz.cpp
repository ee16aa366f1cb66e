// io/idx.h: an IDX file of images and one of labels, plain or gzipped.
#include "fuzz.h"
#include "io/idx.h"

using namespace lorikeet;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const MemoryFile file;
  const std::string& path = file.hold(data, size);
  for (const int dimensions : {1, 3}) {
    accepted([&] {
      const IdxArray array = read_idx(path, dimensions);
      std::uint64_t product = 1;
      for (const std::int64_t n : array.shape) product *= static_cast<std::uint64_t>(n);
      require(product == array.bytes.size(), "an array has as many elements as its shape says");
    });
  }
  return 0;
}
