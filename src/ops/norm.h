// Normalisations.
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

/// On the last axis, (N, …, features); weight, bias (features,).
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

}  // namespace lorikeet
