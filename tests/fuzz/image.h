// What the two image targets share.
#pragma once

#include "fuzz.h"
#include "image/decode.h"

inline int decode_whole(const std::uint8_t* data, std::size_t size) {
  accepted([&] {
    const at::Tensor image = lorikeet::decode_image({reinterpret_cast<const char*>(data), size}, "fuzz");
    require(image.dim() == 3 && image.size(0) == 3 && image.numel() <= 3 * lorikeet::kMaxPixels, "an image is (3, H, W)");
    const auto* bytes = static_cast<const volatile std::uint8_t*>(image.const_data_ptr());
    for (std::size_t i = 0; i < image.nbytes(); ++i) static_cast<void>(bytes[i]);
  });
  return 0;
}
