// Convolutions.
#pragma once

#include "ops/operation.h"
#include "ops/window.h"

namespace lorikeet {

/// (N, in, H, W) → (N, out, H', W'); weight (out, in / groups, kh, kw), bias (out,).
struct Conv2d {
  std::int64_t in = 0;
  std::int64_t out = 0;
  Pair kernel{1, 1};
  Pair stride{1, 1};
  Pair padding{0, 0};
  Pair dilation{1, 1};
  std::int64_t groups = 1;
  bool bias = false;
  /// TensorFlow's "SAME": the padding depends on the input size and may be larger at the bottom and right.
  bool same_padding = false;

  static constexpr const char* kName = "Conv2d";
  static constexpr OpKind kKind = OpKind::kWeighted;
  static constexpr bool kFloat32Parameters = false;
  static bool takes(std::size_t inputs) { return inputs == 1; }
  std::string arguments() const;
  std::vector<OpParameter> parameters() const;
  Shape output_shape(c10::ArrayRef<Shape> inputs, const std::string& where) const;
  std::int64_t macs(const OpShapes& shapes) const;
  std::uint64_t kept_bytes(const OpShapes& shapes, const GradientOptions& gradient) const;
  at::Tensor forward(const NodeTensors& tensors, at::TensorList x) const;
};

/// A convolution with a square kernel, whose padding keeps the image size if the stride is 1 and the kernel odd.
inline Conv2d square_conv(std::int64_t in, std::int64_t out, std::int64_t kernel, std::int64_t stride) {
  return {.in = in,
          .out = out,
          .kernel = {kernel, kernel},
          .stride = {stride, stride},
          .padding = {kernel / 2, kernel / 2}};
}

/// Returns the padding for an image of this size. For odd "SAME" padding, the larger half is at the bottom and right.
Padding padding_of(const Conv2d& conv, std::int64_t height, std::int64_t width);

/// A convolution with the geometry of `conv` (stride, padding, dilation) but the channels of `weight`. x (N, C, H, W),
/// weight (out, C / groups, kh, kw), bias (out,) or undefined → (N, out, H', W').
at::Tensor conv2d(const Conv2d& conv, const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                  std::int64_t groups);

}  // namespace lorikeet
