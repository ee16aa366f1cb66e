// Normalisation layers.
#pragma once

#include "ops/operation.h"

namespace lorikeet {

/// (N, features, H, W), always in evaluation mode; weight, bias, running_mean, running_var: (features,).
struct BatchNorm2d {
  std::int64_t features = 0;
  double eps = 1e-5;

  static constexpr const char* kName = "BatchNorm2d";
  static constexpr OpKind kKind = OpKind::kNormalising;
  static constexpr bool kFloat32Parameters = true;
  static bool takes(std::size_t inputs) { return inputs == 1; }
  std::string arguments() const;
  std::vector<OpParameter> parameters() const;
  static Shape output_shape(c10::ArrayRef<Shape> inputs, const std::string&) { return inputs[0]; }
  static std::int64_t macs(const OpShapes&) { return 0; }
  static std::uint64_t kept_bytes(const OpShapes& shapes, const GradientOptions& gradient) {
    return element_count(shapes.inputs[0]) * gradient.element_size;
  }
  at::Tensor forward(const NodeTensors& tensors, at::TensorList x) const;
};

/// Over the last axis: (N, …, features); weight, bias (features,).
struct LayerNorm {
  std::int64_t features = 0;
  double eps = 1e-5;

  static constexpr const char* kName = "LayerNorm";
  static constexpr OpKind kKind = OpKind::kNormalising;
  static constexpr bool kFloat32Parameters = false;
  static bool takes(std::size_t inputs) { return inputs == 1; }
  std::string arguments() const;
  std::vector<OpParameter> parameters() const { return {{"weight", {features}}, {"bias", {features}}}; }
  static Shape output_shape(c10::ArrayRef<Shape> inputs, const std::string&) { return inputs[0]; }
  static std::int64_t macs(const OpShapes&) { return 0; }
  std::uint64_t kept_bytes(const OpShapes& shapes, const GradientOptions& gradient) const;
  at::Tensor forward(const NodeTensors& tensors, at::TensorList x) const;
};

/// LayerNorm over the channels of each pixel: (N, features, H, W); weight, bias (features,). timm and torchvision have
/// a class of this name.
struct LayerNorm2d : LayerNorm {
  explicit LayerNorm2d(std::int64_t count, double epsilon = 1e-6) : LayerNorm{count, epsilon} {}

  static constexpr const char* kName = "LayerNorm2d";
  at::Tensor forward(const NodeTensors& tensors, at::TensorList x) const;
};

/// Global response normalisation (Woo et al., 2023, arXiv:2301.00808) of (N, H, W, features): with g the norm of each
/// feature over the image, x + weight · x · g / (mean of g over the features + 1e-6) + bias. weight, bias (features,),
/// or in transformers (1, 1, 1, features).
struct GlobalResponseNorm {
  std::int64_t features = 0;
  /// Whether the parameters have the three leading axes.
  bool wide_parameters = false;

  static constexpr const char* kName = "GlobalResponseNorm";
  static constexpr OpKind kKind = OpKind::kOther;
  static constexpr bool kFloat32Parameters = false;
  static bool takes(std::size_t inputs) { return inputs == 1; }
  std::string arguments() const;
  std::vector<OpParameter> parameters() const;
  static Shape output_shape(c10::ArrayRef<Shape> inputs, const std::string&) { return inputs[0]; }
  static std::int64_t macs(const OpShapes&) { return 0; }
  /// x, its product with the normalised norms, and both again as factors.
  static std::uint64_t kept_bytes(const OpShapes& shapes, const GradientOptions& gradient) {
    return 2 * element_count(shapes.inputs[0]) * gradient.element_size;
  }
  at::Tensor forward(const NodeTensors& tensors, at::TensorList x) const;
};

}  // namespace lorikeet
