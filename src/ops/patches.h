// Operations around the transformers of MobileViT (Mehta and Rastegari, 2022, arXiv:2110.02178): an image is divided
// into patches, and attention is between the tokens at the same position of each patch.
#pragma once

#include <string>
#include <vector>

#include "ops/operation.h"

namespace lorikeet {

/// (N, features, H, W) → (N, patch², patches, features): the positions in a patch and the patches, each row by row. An
/// image that is not a multiple of `patch` is enlarged to one (bilinear), as the libraries do.
struct UnfoldPatches {
  std::int64_t features = 0;
  std::int64_t patch = 2;

  static constexpr const char* kName = "UnfoldPatches";
  static constexpr OpKind kKind = OpKind::kOther;
  static constexpr bool kFloat32Parameters = false;
  static bool takes(std::size_t inputs) { return inputs == 1; }
  std::string arguments() const;
  static std::vector<OpParameter> parameters() { return {}; }
  Shape output_shape(c10::ArrayRef<Shape> inputs, const std::string& where) const;
  static std::int64_t macs(const OpShapes&) { return 0; }
  static std::uint64_t kept_bytes(const OpShapes&, const GradientOptions&) { return 0; }
  at::Tensor forward(const NodeTensors& tensors, at::TensorList x) const;
};

/// The inverse. Its inputs: the patches, and the image (N, C, H, W) that they are of, of which only the size matters
/// → (N, features, H, W).
struct FoldPatches {
  std::int64_t features = 0;
  std::int64_t patch = 2;

  static constexpr const char* kName = "FoldPatches";
  static constexpr OpKind kKind = OpKind::kOther;
  static constexpr bool kFloat32Parameters = false;
  static bool takes(std::size_t inputs) { return inputs == 2; }
  std::string arguments() const;
  static std::vector<OpParameter> parameters() { return {}; }
  Shape output_shape(c10::ArrayRef<Shape> inputs, const std::string&) const {
    return {features, inputs[1][1], inputs[1][2]};
  }
  static std::int64_t macs(const OpShapes&) { return 0; }
  static std::uint64_t kept_bytes(const OpShapes&, const GradientOptions&) { return 0; }
  at::Tensor forward(const NodeTensors& tensors, at::TensorList x) const;
};

}  // namespace lorikeet
