// io/safetensors.h: a complete file.
#include "fuzz.h"
#include "io/safetensors.h"

using namespace lorikeet;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  accepted([&] {
    const NamedTensors tensors = read_safetensors(InputFile("fuzz", std::as_bytes(std::span(data, size))));
    check_tensors(tensors);
    require(tensors.bytes() <= size, "tensors are no larger than the file");
  });
  return 0;
}
