// Operations around the blocks of a vision transformer: from images to tokens, and from tokens to one vector per image.
//
// In PyTorch, the learned tensors here are attributes of the model (`cls_token`, `pos_embed`) rather than of a module,
// so the node's name is the parameter's full name.
#pragma once

#include "ops/operation.h"

namespace lorikeet {

/// Makes each pixel of a square image a token, row by row: (N, C, S, S) → (N, S · S, C), contiguous. The operations
/// after it know the number of tokens only, so that another grid of as many tokens would get the wrong position
/// embeddings.
struct PixelsToTokens {
  static constexpr const char* kName = "PixelsToTokens";
  static constexpr OpKind kKind = OpKind::kOther;
  static constexpr bool kFloat32Parameters = false;
  static bool takes(std::size_t inputs) { return inputs == 1; }
  static std::string arguments() { return ""; }
  static std::vector<OpParameter> parameters() { return {}; }
  /// Throws UsageError unless the image is square.
  static Shape output_shape(c10::ArrayRef<Shape> inputs, const std::string& where);
  static std::int64_t macs(const OpShapes&) { return 0; }
  static std::uint64_t kept_bytes(const OpShapes&, const GradientOptions&) { return 0; }
  static at::Tensor forward(const NodeTensors& tensors, at::TensorList x);
};

/// Prepends the same learned tokens (class token, registers) to those of each image: (N, tokens, features) → (N, count
/// + tokens, features). Parameter: (1, count, features).
struct PrependTokens {
  std::int64_t count = 1;
  std::int64_t features = 0;

  static constexpr const char* kName = "PrependTokens";
  static constexpr OpKind kKind = OpKind::kOther;
  static constexpr bool kFloat32Parameters = false;
  static bool takes(std::size_t inputs) { return inputs == 1; }
  std::string arguments() const;
  std::vector<OpParameter> parameters() const { return {{"", {1, count, features}}}; }
  Shape output_shape(c10::ArrayRef<Shape> inputs, const std::string&) const { return {count + inputs[0][0], features}; }
  static std::int64_t macs(const OpShapes&) { return 0; }
  static std::uint64_t kept_bytes(const OpShapes&, const GradientOptions&) { return 0; }
  at::Tensor forward(const NodeTensors& tensors, at::TensorList x) const;
};

/// Adds a learned vector to each token, keeping the shape (N, n, features). Parameter: (1, tokens, features). If the
/// image size differs from the network's, n ≠ tokens, the vectors of the patches are interpolated (bicubic), as in
/// timm.
struct PositionEmbedding {
  std::int64_t tokens = 0;
  std::int64_t features = 0;
  /// Of the tokens, those in front that are no patches; they have vectors of their own.
  std::int64_t prefix = 0;
  /// Whether the interpolation widens its kernel for fewer patches, as timm does and transformers does not.
  bool antialias = true;

  static constexpr const char* kName = "PositionEmbedding";
  static constexpr OpKind kKind = OpKind::kOther;
  static constexpr bool kFloat32Parameters = false;
  static bool takes(std::size_t inputs) { return inputs == 1; }
  std::string arguments() const;
  std::vector<OpParameter> parameters() const { return {{"", {1, tokens, features}}}; }
  /// Throws UsageError unless the patches form a square.
  Shape output_shape(c10::ArrayRef<Shape> inputs, const std::string& where) const;
  static std::int64_t macs(const OpShapes&) { return 0; }
  static std::uint64_t kept_bytes(const OpShapes&, const GradientOptions&) { return 0; }
  at::Tensor forward(const NodeTensors& own, at::TensorList x) const;
  /// `own` (1, tokens, features) for `count` tokens: (1, count, features).
  at::Tensor resampled(const at::Tensor& own, std::int64_t count) const;
};

/// The mean of the tokens from `first` on: (N, tokens, features) → (N, features).
struct MeanTokens {
  std::int64_t first = 0;

  static constexpr const char* kName = "MeanTokens";
  static constexpr OpKind kKind = OpKind::kOther;
  static constexpr bool kFloat32Parameters = false;
  static bool takes(std::size_t inputs) { return inputs == 1; }
  std::string arguments() const;
  static std::vector<OpParameter> parameters() { return {}; }
  static Shape output_shape(c10::ArrayRef<Shape> inputs, const std::string&) { return {inputs[0][1]}; }
  static std::int64_t macs(const OpShapes&) { return 0; }
  static std::uint64_t kept_bytes(const OpShapes&, const GradientOptions&) { return 0; }
  at::Tensor forward(const NodeTensors& tensors, at::TensorList x) const;
};

/// Selects one token: (N, tokens, features) → (N, features).
struct TakeToken {
  std::int64_t index = 0;

  static constexpr const char* kName = "TakeToken";
  static constexpr OpKind kKind = OpKind::kOther;
  static constexpr bool kFloat32Parameters = false;
  static bool takes(std::size_t inputs) { return inputs == 1; }
  std::string arguments() const;
  static std::vector<OpParameter> parameters() { return {}; }
  static Shape output_shape(c10::ArrayRef<Shape> inputs, const std::string&) { return {inputs[0][1]}; }
  static std::int64_t macs(const OpShapes&) { return 0; }
  static std::uint64_t kept_bytes(const OpShapes&, const GradientOptions&) { return 0; }
  at::Tensor forward(const NodeTensors& tensors, at::TensorList x) const;
};

}  // namespace lorikeet
