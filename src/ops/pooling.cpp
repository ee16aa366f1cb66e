#include "ops/pooling.h"

#include <ATen/Functions.h>

#include "ops/window.h"

namespace lorikeet {

Shape MaxPool2d::output_shape(c10::ArrayRef<Shape> inputs, const std::string& where) const {
  return windowed_shape(inputs[0], inputs[0][0], {kernel, stride, {1, 1}, {2 * padding[0], 2 * padding[1]}}, where);
}

std::uint64_t MaxPool2d::kept_bytes(const OpShapes& shapes, const GradientOptions& gradient) {
  return element_count(shapes.inputs[0]) * gradient.element_size +
         element_count(shapes.output) * sizeof(std::int64_t);  // where each maximum lay
}

at::Tensor MaxPool2d::forward(const NodeTensors&, at::TensorList x) const {
  return at::max_pool2d(x[0], kernel, stride, padding);
}

at::Tensor GlobalAvgPool::forward(const NodeTensors&, at::TensorList x) { return at::mean(x[0], {2, 3}); }

}  // namespace lorikeet
