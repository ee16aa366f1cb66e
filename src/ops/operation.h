// What every operation defines. An operation is a struct with the fields of the PyTorch module of the same name
// and the members that the concept Operation asks for; one file holds a family of them, and ops/op.h lists them all.
// An operation that lacks a member does not compile, and the compiler names the member.
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

/// Of a value, without the batch dimension: (C, H, W), (tokens, features) or (features,).
using Shape = std::vector<std::int64_t>;

/// A tensor that an operation needs.
struct OpParameter {
  /// Within the node: "weight" of the node "conv1" is "conv1.weight". Empty where the node is no module but stands for
  /// the tensor itself: "cls_token".
  std::string name;
  Shape shape;
  /// A statistic rather than something that is learned (PyTorch's buffers).
  bool buffer = false;
};

/// What adapters may do with an operation's parameters.
enum class OpKind {
  /// A weight that maps features to features (Conv2d, Linear): LoRA and its relatives.
  kWeighted,
  /// A normalisation's weight and bias: norm tuning.
  kNormalising,
  /// Nothing, or what is trained only as a whole.
  kOther
};

/// The shapes around an operation, for one image.
struct OpShapes {
  c10::ArrayRef<Shape> inputs;
  const Shape& output;
};

/// What autograd keeps depends on these.
struct GradientOptions {
  /// Bytes of an element of the activations.
  std::uint64_t element_size = 4;
  /// Whether the operation's own parameters have a gradient, and not only its inputs.
  bool learned = false;
};

template <typename T>
concept Operation = requires(const T& op, std::size_t count, c10::ArrayRef<Shape> inputs, const std::string& where,
                             const OpShapes& shapes, const GradientOptions& gradient, const NodeTensors& tensors,
                             at::TensorList values) {
  /// PyTorch's class name: "Conv2d".
  { T::kName } -> std::convertible_to<std::string_view>;
  { T::kKind } -> std::convertible_to<OpKind>;
  /// Whether its parameters stay float32 where activations are bfloat16.
  { T::kFloat32Parameters } -> std::convertible_to<bool>;
  /// Whether it takes that many inputs.
  { T::takes(count) } -> std::same_as<bool>;
  /// What PyTorch prints after the name: "(64, eps=1e-05)"; empty where it prints nothing.
  { op.arguments() } -> std::same_as<std::string>;
  /// In PyTorch's order.
  { op.parameters() } -> std::same_as<std::vector<OpParameter>>;
  /// Throws UsageError, naming the node `where`, where the inputs are too small.
  { op.output_shape(inputs, where) } -> std::same_as<Shape>;
  /// Multiply-adds of one image.
  { op.macs(shapes) } -> std::same_as<std::int64_t>;
  /// Bytes that autograd keeps of one image's forward pass until its gradient is computed.
  { op.kept_bytes(shapes, gradient) } -> std::same_as<std::uint64_t>;
  /// The definition that faster engines are tested against, in plain ATen. Differentiable. Values are (N, …).
  { op.forward(tensors, values) } -> std::same_as<at::Tensor>;
};

/// The number of elements of a value.
std::uint64_t element_count(const Shape& shape);

}  // namespace lorikeet
