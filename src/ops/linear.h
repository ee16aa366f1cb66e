// Fully connected layers.
#pragma once

#include "ops/operation.h"

namespace lorikeet {

/// Applied to the last axis: (N, …, in) → (N, …, out); weight (out, in), bias (out,).
struct Linear {
  std::int64_t in = 0;
  std::int64_t out = 0;
  bool bias = true;

  static constexpr const char* kName = "Linear";
  static constexpr OpKind kKind = OpKind::kWeighted;
  static constexpr bool kFloat32Parameters = false;
  static bool takes(std::size_t inputs) { return inputs == 1; }
  std::string arguments() const;
  std::vector<OpParameter> parameters() const;
  Shape output_shape(c10::ArrayRef<Shape> inputs, const std::string&) const;
  std::int64_t macs(const OpShapes& shapes) const;
  std::uint64_t kept_bytes(const OpShapes& shapes, const GradientOptions& gradient) const;
  at::Tensor forward(const NodeTensors& tensors, at::TensorList x) const;
};

}  // namespace lorikeet
