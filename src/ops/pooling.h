// Pooling layers.
#pragma once

#include "ops/operation.h"

namespace lorikeet {

/// (N, C, H, W) → (N, C, H', W').
struct MaxPool2d {
  Pair kernel{3, 3};
  Pair stride{2, 2};
  Pair padding{1, 1};

  static constexpr const char* kName = "MaxPool2d";
  static constexpr OpKind kKind = OpKind::kOther;
  static constexpr bool kFloat32Parameters = false;
  static bool takes(std::size_t inputs) { return inputs == 1; }
  static std::string arguments() { return ""; }
  static std::vector<OpParameter> parameters() { return {}; }
  Shape output_shape(c10::ArrayRef<Shape> inputs, const std::string& where) const;
  static std::int64_t macs(const OpShapes&) { return 0; }
  static std::uint64_t kept_bytes(const OpShapes& shapes, const GradientOptions& gradient);
  at::Tensor forward(const NodeTensors& tensors, at::TensorList x) const;
};

/// (N, C, H, W) → (N, C, H', W'). As timm's ResNets use it, the padding that `ceil_mode` implies is not counted in the
/// means.
struct AvgPool2d {
  Pair kernel{2, 2};
  Pair stride{2, 2};
  /// Whether a window that the image does not fill counts.
  bool ceil_mode = false;

  static constexpr const char* kName = "AvgPool2d";
  static constexpr OpKind kKind = OpKind::kOther;
  static constexpr bool kFloat32Parameters = false;
  static bool takes(std::size_t inputs) { return inputs == 1; }
  std::string arguments() const;
  static std::vector<OpParameter> parameters() { return {}; }
  Shape output_shape(c10::ArrayRef<Shape> inputs, const std::string& where) const;
  static std::int64_t macs(const OpShapes&) { return 0; }
  static std::uint64_t kept_bytes(const OpShapes& shapes, const GradientOptions& gradient) {
    return element_count(shapes.inputs[0]) * gradient.element_size;
  }
  at::Tensor forward(const NodeTensors& tensors, at::TensorList x) const;
};

/// (N, C, H, W) → (N, C), or with `keepdim` (N, C, 1, 1).
struct GlobalAvgPool {
  bool keepdim = false;

  static constexpr const char* kName = "GlobalAvgPool";
  static constexpr OpKind kKind = OpKind::kOther;
  static constexpr bool kFloat32Parameters = false;
  static bool takes(std::size_t inputs) { return inputs == 1; }
  static std::string arguments() { return ""; }
  static std::vector<OpParameter> parameters() { return {}; }
  Shape output_shape(c10::ArrayRef<Shape> inputs, const std::string&) const {
    return keepdim ? Shape{inputs[0][0], 1, 1} : Shape{inputs[0][0]};
  }
  static std::int64_t macs(const OpShapes&) { return 0; }
  static std::uint64_t kept_bytes(const OpShapes&, const GradientOptions&) { return 0; }
  at::Tensor forward(const NodeTensors& tensors, at::TensorList x) const;
};

}  // namespace lorikeet
