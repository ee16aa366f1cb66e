// image/decode.h: a TIFF. libtiff itself is neither instrumented nor sanitised, but its calls of
// malloc and memcpy are intercepted.
#include "image.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size > 0 && data[0] != 'I' && data[0] != 'M') return -1;
  return decode_whole(data, size);
}
