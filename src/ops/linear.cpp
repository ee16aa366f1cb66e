#include "ops/linear.h"

#include <ATen/Functions.h>

#include "base/error.h"

namespace lorikeet {

std::string Linear::arguments() const {
  return cat("(in_features=", in, ", out_features=", out, bias ? ")" : ", bias=False)");
}

std::vector<OpParameter> Linear::parameters() const {
  std::vector<OpParameter> all{{"weight", {out, in}}};
  if (bias) all.push_back({"bias", {out}});
  return all;
}

Shape Linear::output_shape(c10::ArrayRef<Shape> inputs, const std::string&) const {
  Shape shape = inputs[0];
  shape.back() = out;
  return shape;
}

std::int64_t Linear::macs(const OpShapes& shapes) const {
  return static_cast<std::int64_t>(element_count(shapes.output)) * in;
}

std::uint64_t Linear::kept_bytes(const OpShapes& shapes, const GradientOptions& gradient) const {
  return gradient.learned ? element_count(shapes.inputs[0]) * gradient.element_size
                          : 0;  // only for the weight's gradient
}

at::Tensor Linear::forward(const NodeTensors& tensors, at::TensorList x) const {
  return at::linear(x[0], tensors.weight(), optional_tensor(tensors.bias()));
}

}  // namespace lorikeet
