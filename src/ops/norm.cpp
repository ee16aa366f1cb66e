#include "ops/norm.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include "base/error.h"

namespace lorikeet {

std::string BatchNorm2d::arguments() const { return cat("(", features, ", eps=", eps, ")"); }

std::vector<OpParameter> BatchNorm2d::parameters() const {
  return {{"weight", {features}},
          {"bias", {features}},
          {"running_mean", {features}, true},
          {"running_var", {features}, true}};
}

at::Tensor BatchNorm2d::forward(const NodeTensors& tensors, at::TensorList x) const {
  return at::batch_norm(x[0], tensors.weight(), tensors.bias(), tensors["running_mean"], tensors["running_var"],
                        /*training=*/false, /*momentum=*/0.0, eps, /*cudnn_enabled=*/true);
}

std::string LayerNorm::arguments() const { return cat("((", features, ",), eps=", eps, ")"); }

std::uint64_t LayerNorm::kept_bytes(const OpShapes& shapes, const GradientOptions& gradient) const {
  const std::uint64_t elements = element_count(shapes.inputs[0]);
  const std::uint64_t rows = elements / static_cast<std::uint64_t>(features);
  return elements * gradient.element_size + 2 * rows * sizeof(float);  // mean and 1 / deviation per row
}

at::Tensor LayerNorm::forward(const NodeTensors& tensors, at::TensorList x) const {
  // With norm tuning, the parameters stay float32.
  const at::ScalarType type = x[0].scalar_type();
  return at::layer_norm(x[0], {features}, tensors.weight().to(type), tensors.bias().to(type), eps);
}

at::Tensor LayerNorm2d::forward(const NodeTensors& tensors, at::TensorList x) const {
  return LayerNorm::forward(tensors, x[0].permute({0, 2, 3, 1})).permute({0, 3, 1, 2});
}

std::string GlobalResponseNorm::arguments() const { return cat("(", features, ")"); }

std::vector<OpParameter> GlobalResponseNorm::parameters() const {
  const Shape shape = wide_parameters ? Shape{1, 1, 1, features} : Shape{features};
  return {{"weight", shape}, {"bias", shape}};
}

at::Tensor GlobalResponseNorm::forward(const NodeTensors& tensors, at::TensorList inputs) const {
  const at::Tensor& x = inputs[0];
  const at::Tensor norms = at::norm(x, 2, {1, 2}, /*keepdim=*/true);
  const at::Tensor relative = norms / (norms.mean({-1}, /*keepdim=*/true) + 1e-6);
  return x + at::addcmul(tensors.bias(), tensors.weight(), x * relative);
}

}  // namespace lorikeet
