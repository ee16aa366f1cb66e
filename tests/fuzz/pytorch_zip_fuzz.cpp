// io/pytorch_file.h: a complete file in torch.save's zip format, used since PyTorch 1.6.
#include "fuzz.h"
#include "io/pytorch_file.h"

using namespace lorikeet;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size > 0 && data[0] != 'P') return -1;  // pytorch_legacy's
  accepted([&] { check_tensors(read_pytorch_file(InputFile("fuzz", std::as_bytes(std::span(data, size))))); });
  return 0;
}
