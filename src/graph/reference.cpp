#include "graph/reference.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include "graph/shapes.h"

namespace lorikeet {

std::optional<at::Tensor> optional_tensor(const at::Tensor& tensor) {
  return tensor.defined() ? std::optional(tensor) : std::nullopt;
}

at::Tensor conv2d(const Conv2d& conv, const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                  std::int64_t groups) {
  const Padding pad = padding_of(conv, x.size(2), x.size(3));
  if (pad.symmetric()) {
    return at::conv2d(x, weight, optional_tensor(bias), conv.stride, at::IntArrayRef{pad.top, pad.left}, conv.dilation,
                      groups);
  }
  const at::Tensor padded = at::constant_pad_nd(x, {pad.left, pad.right, pad.top, pad.bottom});
  return at::conv2d(padded, weight, optional_tensor(bias), conv.stride, at::IntArrayRef{0, 0}, conv.dilation, groups);
}

at::Tensor apply(const Op& op, const NodeTensors& tensors, const at::Tensor& x, const at::Tensor& second) {
  return std::visit(
      Overload{[&](const Input&) { return x; },
               [&](const Conv2d& conv) { return conv2d(conv, x, tensors.weight, tensors.bias, conv.groups); },
               [&](const BatchNorm2d& norm) {
                 return at::batch_norm(x, tensors.weight, tensors.bias, tensors.running_mean, tensors.running_var,
                                       /*training=*/false, /*momentum=*/0.0, norm.eps, /*cudnn_enabled=*/true);
               },
               [&](const Relu&) { return at::relu(x); }, [&](const Relu6&) { return at::hardtanh(x, 0, 6); },
               [&](const Add&) { return x + second; },
               [&](const MaxPool2d& pool) { return at::max_pool2d(x, pool.kernel, pool.stride, pool.padding); },
               [&](const GlobalAvgPool&) {
                 return at::mean(x, {2, 3});
               },
               [&](const Linear&) { return at::linear(x, tensors.weight, optional_tensor(tensors.bias)); }},
      op);
}

}  // namespace lorikeet
