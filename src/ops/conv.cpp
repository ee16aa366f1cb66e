#include "ops/conv.h"

#include <ATen/Functions.h>

#include "base/error.h"

namespace lorikeet {
namespace {

std::string pair_text(const Pair& pair) { return cat("(", pair[0], ", ", pair[1], ")"); }

}  // namespace

std::string Conv2d::arguments() const {
  std::string text = cat("(", in, ", ", out, ", kernel_size=", pair_text(kernel), ", stride=", pair_text(stride));
  if (same_padding) text += ", padding=same";
  if (padding != Pair{0, 0}) text += ", padding=" + pair_text(padding);
  if (dilation != Pair{1, 1}) text += ", dilation=" + pair_text(dilation);
  if (groups != 1) text += cat(", groups=", groups);
  if (!bias) text += ", bias=False";
  return text + ")";
}

std::vector<OpParameter> Conv2d::parameters() const {
  std::vector<OpParameter> all{{"weight", {out, in / groups, kernel[0], kernel[1]}}};
  if (bias) all.push_back({"bias", {out}});
  return all;
}

Shape Conv2d::output_shape(c10::ArrayRef<Shape> inputs, const std::string& where) const {
  const Padding pad = padding_of(*this, inputs[0][1], inputs[0][2]);
  return windowed_shape(inputs[0], out, {kernel, stride, dilation, {pad.top + pad.bottom, pad.left + pad.right}},
                        where);
}

std::int64_t Conv2d::macs(const OpShapes& shapes) const {
  return shapes.output[0] * shapes.output[1] * shapes.output[2] * (in / groups) * kernel[0] * kernel[1];
}

std::uint64_t Conv2d::kept_bytes(const OpShapes& shapes, const GradientOptions& gradient) const {
  return element_count(shapes.inputs[0]) * gradient.element_size;
}

at::Tensor Conv2d::forward(const NodeTensors& tensors, at::TensorList x) const {
  return conv2d(*this, x[0], tensors.weight(), tensors.bias(), groups);
}

Padding padding_of(const Conv2d& conv, std::int64_t height, std::int64_t width) {
  if (!conv.same_padding) return {conv.padding[0], conv.padding[0], conv.padding[1], conv.padding[1]};
  const std::int64_t down = same_padding(height, conv.kernel[0], conv.stride[0], conv.dilation[0]);
  const std::int64_t across = same_padding(width, conv.kernel[1], conv.stride[1], conv.dilation[1]);
  return {down / 2, down - down / 2, across / 2, across - across / 2};
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

}  // namespace lorikeet
