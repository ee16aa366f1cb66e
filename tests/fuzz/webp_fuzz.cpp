// image/decode.h: a WebP. libwebp itself is neither instrumented nor sanitised, but its calls of
// malloc and memcpy are intercepted.
#include "image.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size > 0 && data[0] != 'R') return -1;
  return decode_whole(data, size);
}
