#include "ops/norm.h"

#include <ATen/Functions.h>

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

}  // namespace lorikeet
