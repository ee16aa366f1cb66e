// The table of operations, and the functions over all of them. To add an operation, write a struct in the file of its
// family and add it to `Op`. The compiler then reports the passes that must handle it (export/onnx_export.cpp …).
//
// A pass that must handle every operation visits `Op` with one case per operation and no default. A pass that only
// optimises some patterns (fusion, kernels) matches these with std::get_if and leaves the rest to apply().
#pragma once

#include <variant>

#include "ops/attention.h"
#include "ops/conv.h"
#include "ops/elementwise.h"
#include "ops/input.h"
#include "ops/layout.h"
#include "ops/linear.h"
#include "ops/norm.h"
#include "ops/operation.h"
#include "ops/patches.h"
#include "ops/pooling.h"
#include "ops/tokens.h"
#include "ops/window_attention.h"

namespace lorikeet {

/// A variant whose alternatives are all operations.
template <Operation... Ops>
using Operations = std::variant<Ops...>;

using Op = Operations<Input, Conv2d, BatchNorm2d, LayerNorm, LayerNorm2d, GlobalResponseNorm, Relu, Relu6, Gelu, Silu,
                      Sigmoid, HardSigmoid, HardSwish, Add, Multiply, UnusedParameter, LayerScale, MaxPool2d, AvgPool2d,
                      GlobalAvgPool, Linear, Attention, PixelsToTokens, PrependTokens, PositionEmbedding, TakeToken,
                      MeanTokens, Permute, Concat, WindowPartition, WindowReverse, WindowAttention, RelativeCoordinates,
                      MergePatches, UnfoldPatches, FoldPatches>;

/// PyTorch's class name: "Conv2d".
std::string op_name(const Op& op);
/// As PyTorch prints it: "Conv2d(64, 128, kernel_size=(3, 3), stride=(2, 2), padding=(1, 1))".
std::string describe(const Op& op);
/// Whether it accepts this number of inputs.
bool takes(const Op& op, std::size_t inputs);

/// In PyTorch's order.
std::vector<OpParameter> parameters_of(const Op& op);
bool has_parameters(const Op& op);
/// Whether the node's name is a module's name, as used by adapters, rather than a tensor's.
bool is_module(const Op& op);
OpKind kind_of(const Op& op);
/// Whether its parameters stay float32 if activations are bfloat16.
bool has_float32_parameters(const Op& op);

/// Shapes have no batch dimension. Throws UsageError, naming the node `where`, if the inputs are too small.
Shape output_shape(const Op& op, c10::ArrayRef<Shape> inputs, const std::string& where);
/// Multiply-adds per image.
std::int64_t macs(const Op& op, const OpShapes& shapes);
/// Bytes that autograd keeps per image from the forward pass until the gradient is computed.
std::uint64_t kept_bytes(const Op& op, const OpShapes& shapes, const GradientOptions& gradient);

/// Runs the operation in plain ATen: the reference that faster engines are tested against. Differentiable. Inputs and
/// output: (N, …).
at::Tensor apply(const Op& op, const NodeTensors& tensors, at::TensorList inputs);

/// Builds a visitor from a list of lambdas, one per operation …
template <typename... Cases>
struct Overload : Cases... {
  using Cases::operator()...;
};

/// … or one for several operations: `[](const OneOf<Relu, Relu6> auto&) {}`.
template <typename T, typename... Ops>
concept OneOf = (std::same_as<T, Ops> || ...);

}  // namespace lorikeet
