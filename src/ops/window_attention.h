// Attention within windows of an image: Swin Transformer (Liu et al., 2021, arXiv:2103.14030) and Swin Transformer V2
// (Liu et al., 2022, arXiv:2111.09883).
//
// Windows are a value (N, rows, columns, height, width, features): the grid of windows and the tokens of each, so that
// the shape describes the partition. The projections are Linear nodes on the last axis. Padding is zero before the
// projections and takes part in attention, as in the libraries.
#pragma once

#include <string>
#include <vector>

#include "ops/operation.h"

namespace lorikeet {

/// Divides an image of tokens (H, W) into windows. An axis with only one window is not shifted.
struct WindowPartition {
  std::int64_t window = 7;
  /// The number of tokens by which the image is first rolled to the top left.
  std::int64_t shift = 0;
  /// Whether a window shrinks to a smaller image, as in timm and transformers; torchvision pads the image.
  bool shrinks = false;
  /// Whether the image is rolled before it is padded, as in timm.
  bool rolls_first = false;

  static constexpr const char* kName = "WindowPartition";
  static constexpr OpKind kKind = OpKind::kOther;
  static constexpr bool kFloat32Parameters = false;
  static bool takes(std::size_t inputs) { return inputs == 1; }
  std::string arguments() const;
  static std::vector<OpParameter> parameters() { return {}; }
  /// (H, W, features) → windows.
  Shape output_shape(c10::ArrayRef<Shape> inputs, const std::string& where) const;
  static std::int64_t macs(const OpShapes&) { return 0; }
  static std::uint64_t kept_bytes(const OpShapes&, const GradientOptions&) { return 0; }
  at::Tensor forward(const NodeTensors& tensors, at::TensorList x) const;
};

/// The inverse of WindowPartition. Inputs: windows, and a value (N, H, W, …) that gives the size of the image. Output:
/// (N, H, W, features).
struct WindowReverse {
  WindowPartition partition;

  static constexpr const char* kName = "WindowReverse";
  static constexpr OpKind kKind = OpKind::kOther;
  static constexpr bool kFloat32Parameters = false;
  static bool takes(std::size_t inputs) { return inputs == 2; }
  std::string arguments() const { return partition.arguments(); }
  static std::vector<OpParameter> parameters() { return {}; }
  static Shape output_shape(c10::ArrayRef<Shape> inputs, const std::string&) {
    return {inputs[1][0], inputs[1][1], inputs[0].back()};
  }
  static std::int64_t macs(const OpShapes&) { return 0; }
  static std::uint64_t kept_bytes(const OpShapes&, const GradientOptions&) { return 0; }
  at::Tensor forward(const NodeTensors& tensors, at::TensorList x) const;
};

/// Multi-head attention within each window, with a bias for each relative position. Inputs are windows: either queries,
/// keys and values, or one value of 3 · features that contains all three. In the cosine form they are the latter and
/// the biases. Output: windows of `features`.
///
/// The scaled form (Swin): softmax(q · kᵀ / √d + bias) · v. Its parameter relative_position_bias_table
/// ((2 · window − 1)², heads) is interpolated for smaller windows, as timm does.
///
/// The cosine form (Swin V2): softmax(cos(q, k) · exp(min(logit_scale, ln 100)) + 16 · sigmoid(bias)) · v. Its second
/// input, the biases, is (N, (2 · window − 1)², heads). Its parameters are logit_scale (heads, 1, 1) and qkv.bias
/// (3 · features,), which it adds to the first input, except the part of the keys, which Swin V2 does not use.
struct WindowAttention {
  std::int64_t features = 0;
  std::int64_t heads = 1;
  std::int64_t window = 7;
  /// As WindowPartition::shift. Tokens from opposite borders of the image do not attend to each other.
  std::int64_t shift = 0;
  bool cosine = false;
  /// Whether the library's state dict has the buffers of fixed_buffers().
  bool has_buffers = false;

  static constexpr const char* kName = "WindowAttention";
  static constexpr OpKind kKind = OpKind::kOther;
  static constexpr bool kFloat32Parameters = false;
  static bool takes(std::size_t inputs) { return inputs >= 1 && inputs <= 3; }
  std::string arguments() const;
  std::vector<OpParameter> parameters() const;
  Shape output_shape(c10::ArrayRef<Shape> inputs, const std::string& where) const;
  /// Multiply-adds of queries · keys and weights · values.
  std::int64_t macs(const OpShapes& shapes) const;
  /// Without the biases and the mask, which all images share.
  std::uint64_t kept_bytes(const OpShapes& shapes, const GradientOptions& gradient) const;
  at::Tensor forward(const NodeTensors& tensors, at::TensorList x) const;

  /// The scaled form's biases for windows of height · width = area tokens: (heads, area, area).
  at::Tensor bias(const at::Tensor& table, std::int64_t height, std::int64_t width) const;
  /// The mask added to the scores of each window, 0 or −100: (rows · columns, area, area); undefined without a shift.
  /// `windows` is their shape, with or without the batch.
  at::Tensor mask(at::IntArrayRef windows) const;
  /// The cosine form's qkv.bias with zeros for the keys.
  at::Tensor used_bias(const at::Tensor& own) const;
  /// The cosine form's factor of the scores: (heads, 1, 1).
  static at::Tensor scale(const at::Tensor& logit_scale);
  /// The constant buffers of torchvision's state dict, in its order.
  std::vector<NodeTensors::Entry> fixed_buffers() const;
};

/// For each pair of tokens of a window the row of their relative position in a table of (2 · height − 1) ·
/// (2 · width − 1) rows: (area · area,), int64.
at::Tensor relative_position_index(std::int64_t height, std::int64_t width);

/// The log-spaced relative positions of Swin V2, repeated for each image of the input: any value →
/// (N, (2 · window − 1)², 2). REQUIRES: window > 1.
struct RelativeCoordinates {
  std::int64_t window = 8;

  static constexpr const char* kName = "RelativeCoordinates";
  static constexpr OpKind kKind = OpKind::kOther;
  static constexpr bool kFloat32Parameters = false;
  static bool takes(std::size_t inputs) { return inputs == 1; }
  std::string arguments() const;
  static std::vector<OpParameter> parameters() { return {}; }
  Shape output_shape(c10::ArrayRef<Shape>, const std::string&) const {
    return {(2 * window - 1) * (2 * window - 1), 2};
  }
  static std::int64_t macs(const OpShapes&) { return 0; }
  static std::uint64_t kept_bytes(const OpShapes&, const GradientOptions&) { return 0; }
  at::Tensor forward(const NodeTensors& tensors, at::TensorList x) const;
  /// (1, 2 · window − 1, 2 · window − 1, 2).
  at::Tensor table() const;
};

/// Concatenates 2 × 2 tokens in the order (0, 0), (1, 0), (0, 1), (1, 1) of (row, column), the first step of Swin's
/// patch merging: (N, H, W, features) → (N, ⌈H / 2⌉, ⌈W / 2⌉, 4 · features). An odd side is padded with zeros.
struct MergePatches {
  static constexpr const char* kName = "MergePatches";
  static constexpr OpKind kKind = OpKind::kOther;
  static constexpr bool kFloat32Parameters = false;
  static bool takes(std::size_t inputs) { return inputs == 1; }
  static std::string arguments() { return ""; }
  static std::vector<OpParameter> parameters() { return {}; }
  static Shape output_shape(c10::ArrayRef<Shape> inputs, const std::string&) {
    return {(inputs[0][0] + 1) / 2, (inputs[0][1] + 1) / 2, 4 * inputs[0][2]};
  }
  static std::int64_t macs(const OpShapes&) { return 0; }
  static std::uint64_t kept_bytes(const OpShapes&, const GradientOptions&) { return 0; }
  static at::Tensor forward(const NodeTensors& tensors, at::TensorList x);
};

}  // namespace lorikeet
