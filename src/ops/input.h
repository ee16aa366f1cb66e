// The input node of a network.
#pragma once

#include "ops/operation.h"

namespace lorikeet {

/// Images (N, channels, H, W). The only input of output_shape() is the image size (H, W).
struct Input {
  std::int64_t channels = 3;

  static constexpr const char* kName = "Input";
  static constexpr OpKind kKind = OpKind::kOther;
  static constexpr bool kFloat32Parameters = false;
  static bool takes(std::size_t inputs) { return inputs == 0; }
  static std::string arguments() { return ""; }
  static std::vector<OpParameter> parameters() { return {}; }
  Shape output_shape(c10::ArrayRef<Shape> inputs, const std::string&) const {
    return {channels, inputs[0][0], inputs[0][1]};
  }
  static std::int64_t macs(const OpShapes&) { return 0; }
  static std::uint64_t kept_bytes(const OpShapes&, const GradientOptions&) { return 0; }
  static at::Tensor forward(const NodeTensors&, at::TensorList images) { return images[0]; }
};

}  // namespace lorikeet
