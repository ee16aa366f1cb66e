#include "ops/pooling.h"

#include <ATen/Functions.h>

#include "base/error.h"
#include "ops/window.h"

namespace lorikeet {

Shape MaxPool2d::output_shape(c10::ArrayRef<Shape> inputs, const std::string& where) const {
  return windowed_shape(inputs[0], inputs[0][0], {kernel, stride, {1, 1}, {2 * padding[0], 2 * padding[1]}}, where);
}

std::uint64_t MaxPool2d::kept_bytes(const OpShapes& shapes, const GradientOptions& gradient) {
  return element_count(shapes.inputs[0]) * gradient.element_size +
         element_count(shapes.output) * sizeof(std::int64_t);  // indices of the maxima
}

at::Tensor MaxPool2d::forward(const NodeTensors&, at::TensorList x) const {
  return at::max_pool2d(x[0], kernel, stride, padding);
}

std::string AvgPool2d::arguments() const {
  return cat("(kernel_size=", kernel[0], ", stride=", stride[0], ceil_mode ? ", ceil_mode=True)" : ")");
}

Shape AvgPool2d::output_shape(c10::ArrayRef<Shape> inputs, const std::string& where) const {
  const Shape& in = inputs[0];
  // What completes the last window.
  const auto rest = [&](std::size_t axis) -> std::int64_t {
    if (!ceil_mode) return 0;
    const std::int64_t beyond = in[axis + 1] - kernel[axis];
    if (beyond < 0) return -beyond;
    return beyond % stride[axis] == 0 ? 0 : stride[axis] - beyond % stride[axis];
  };
  return windowed_shape(in, in[0], {kernel, stride, {1, 1}, {rest(0), rest(1)}}, where);
}

at::Tensor AvgPool2d::forward(const NodeTensors&, at::TensorList x) const {
  return at::avg_pool2d(x[0], kernel, stride, {0, 0}, ceil_mode, /*count_include_pad=*/false);
}

at::Tensor GlobalAvgPool::forward(const NodeTensors&, at::TensorList x) const {
  return at::mean(x[0], {2, 3}, keepdim);
}

}  // namespace lorikeet
