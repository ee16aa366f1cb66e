// image/decode.h: a BMP.
#include "image.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size > 0 && data[0] != 'B') return -1;
  return decode_whole(data, size);
}
