// io/pickle.h and io/pytorch_tensors.h: a pickle, followed by three storages. In a zip archive, a pickle cannot change
// its length without breaking the archive; here it can.
#include "fuzz.h"
#include "io/pickle.h"
#include "io/pytorch_tensors.h"

using namespace lorikeet;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const InputFile file("fuzz", std::as_bytes(std::span(data, size)));
  accepted([&] {
    const Pickle pickle = read_pickle(file, 0, size, {.where = "fuzz"});
    require(pickle.end <= size, "a pickle ends in its file");
    Extents extents;
    std::uint64_t position = pickle.end;
    for (const auto& [key, bytes] : {std::pair("0", 24U), std::pair("1", 8U), std::pair("2", 4U)}) {
      if (bytes > size - position) break;
      extents[key] = {position, bytes};
      position += bytes;
    }
    check_tensors(read_state_dict(file, pickle, extents));
  });
  return 0;
}
