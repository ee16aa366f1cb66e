// Operations that move values and compute nothing.
#pragma once

#include "ops/operation.h"

namespace lorikeet {

/// The axes in another order, as torch.permute: `dims` name the input's axes, the batch, 0, first.
struct Permute {
  std::vector<std::int64_t> dims;

  static constexpr const char* kName = "Permute";
  static constexpr OpKind kKind = OpKind::kOther;
  static constexpr bool kFloat32Parameters = false;
  static bool takes(std::size_t inputs) { return inputs == 1; }
  std::string arguments() const;
  static std::vector<OpParameter> parameters() { return {}; }
  Shape output_shape(c10::ArrayRef<Shape> inputs, const std::string&) const;
  static std::int64_t macs(const OpShapes&) { return 0; }
  static std::uint64_t kept_bytes(const OpShapes&, const GradientOptions&) { return 0; }
  at::Tensor forward(const NodeTensors& tensors, at::TensorList x) const;
};

/// (N, C, H, W) ↔ (N, H, W, C).
inline Permute channels_last_axes() { return {{0, 2, 3, 1}}; }
inline Permute channels_first_axes() { return {{0, 3, 1, 2}}; }

/// The inputs side by side along an axis, as torch.cat; `dim` counts the batch, 0. The other axes are equal.
struct Concat {
  std::int64_t dim = 1;

  static constexpr const char* kName = "Concat";
  static constexpr OpKind kKind = OpKind::kOther;
  static constexpr bool kFloat32Parameters = false;
  static bool takes(std::size_t inputs) { return inputs >= 1; }
  std::string arguments() const;
  static std::vector<OpParameter> parameters() { return {}; }
  /// Throws UsageError if the other axes differ.
  Shape output_shape(c10::ArrayRef<Shape> inputs, const std::string& where) const;
  static std::int64_t macs(const OpShapes&) { return 0; }
  static std::uint64_t kept_bytes(const OpShapes&, const GradientOptions&) { return 0; }
  at::Tensor forward(const NodeTensors& tensors, at::TensorList x) const;
};

}  // namespace lorikeet
