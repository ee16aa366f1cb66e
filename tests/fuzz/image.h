// Common parts of the image targets.
#pragma once

#include "fuzz.h"
#include "image/decode.h"

inline int decode_whole(const std::uint8_t* data, std::size_t size) {
  accepted([&] {
    const at::Tensor image = lorikeet::decode_image({reinterpret_cast<const char*>(data), size}, "fuzz");
    require(image.dim() == 3 && image.size(0) == 3 && image.numel() <= 3 * lorikeet::kMaxPixels,
            "an image is (3, H, W)");
    check_bytes(image);
  });
  return 0;
}
