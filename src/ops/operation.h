// The concept Operation: what every operation defines. An operation is a struct with the fields of the PyTorch module
// of the same name and the members that the concept requires. Each file holds a family of operations, and ops/op.h
// lists them all. If a member is missing, the compiler names it.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/util/ArrayRef.h>

#include <array>
#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "ops/node_tensors.h"

namespace lorikeet {

using Pair = std::array<std::int64_t, 2>;  // (height, width)

/// Shape of a value without the batch dimension: (C, H, W), (tokens, features) or (features,).
using Shape = std::vector<std::int64_t>;

/// A tensor that an operation requires.
struct OpParameter {
  /// Name within the node: "weight" of the node "conv1" is "conv1.weight". Empty if the node is not a module but the
  /// tensor itself: "cls_token".
  std::string name;
  Shape shape;
  /// Whether it is a statistic (a buffer in PyTorch) rather than a trainable parameter.
  bool buffer = false;
};

/// How adapters can use an operation's parameters.
enum class OpKind {
  /// A weight that maps features to features (Conv2d, Linear): LoRA and its relatives.
  kWeighted,
  /// Weight and bias of a normalisation: norm tuning.
  kNormalising,
  /// Not at all, or only by training the complete module.
  kOther
};

/// Input and output shapes of an operation for one image.
struct OpShapes {
  c10::ArrayRef<Shape> inputs;
  const Shape& output;
};

/// Determines what autograd keeps.
struct GradientOptions {
  /// Bytes per element of the activations.
  std::uint64_t element_size = 4;
  /// Whether the operation's own parameters need a gradient, in addition to its inputs.
  bool learned = false;
};

template <typename T>
concept Operation = requires(const T& op, std::size_t count, c10::ArrayRef<Shape> inputs, const std::string& where,
                             const OpShapes& shapes, const GradientOptions& gradient, const NodeTensors& tensors,
                             at::TensorList values) {
  /// PyTorch's class name: "Conv2d".
  { T::kName } -> std::convertible_to<std::string_view>;
  { T::kKind } -> std::convertible_to<OpKind>;
  /// Whether its parameters stay float32 if activations are bfloat16.
  { T::kFloat32Parameters } -> std::convertible_to<bool>;
  /// Whether it accepts this number of inputs.
  { T::takes(count) } -> std::same_as<bool>;
  /// The text that PyTorch prints after the name: "(64, eps=1e-05)"; may be empty.
  { op.arguments() } -> std::same_as<std::string>;
  /// In PyTorch's order.
  { op.parameters() } -> std::same_as<std::vector<OpParameter>>;
  /// Throws UsageError, naming the node `where`, if the inputs are too small.
  { op.output_shape(inputs, where) } -> std::same_as<Shape>;
  /// Multiply-adds per image.
  { op.macs(shapes) } -> std::same_as<std::int64_t>;
  /// Bytes that autograd keeps per image from the forward pass until the gradient is computed.
  { op.kept_bytes(shapes, gradient) } -> std::same_as<std::uint64_t>;
  /// The reference that faster engines are tested against, in plain ATen. Differentiable. Values are (N, …).
  { op.forward(tensors, values) } -> std::same_as<at::Tensor>;
};

/// Number of elements of a value.
std::uint64_t element_count(const Shape& shape);

}  // namespace lorikeet
