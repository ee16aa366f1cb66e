#include "ops/window.h"

#include <algorithm>

#include "base/error.h"

namespace lorikeet {

std::int64_t same_padding(std::int64_t size, std::int64_t kernel, std::int64_t stride, std::int64_t dilation) {
  const std::int64_t outputs = (size + stride - 1) / stride;
  return std::max<std::int64_t>(0, (outputs - 1) * stride + (kernel - 1) * dilation + 1 - size);
}

std::int64_t window_count(std::int64_t padded, std::int64_t kernel, std::int64_t stride, std::int64_t dilation) {
  return (padded - (kernel - 1) * dilation - 1) / stride + 1;
}

Shape windowed_shape(const Shape& image, std::int64_t channels, const Windows& windows, const std::string& where) {
  Shape out{channels};
  for (std::size_t axis = 0; axis < 2; ++axis) {
    const std::int64_t size = image[axis + 1];
    const std::int64_t padding = windows.padding[axis];
    const std::int64_t span = (windows.kernel[axis] - 1) * windows.dilation[axis] + 1;
    if (size + padding < span) {
      fail_usage("image size: got ", size, " pixels at ", where, ", expected at least ", span - padding,
                 ". Use larger images.");
    }
    out.push_back(window_count(size + padding, windows.kernel[axis], windows.stride[axis], windows.dilation[axis]));
  }
  return out;
}

}  // namespace lorikeet
