// The table of operations, and the functions over any of them. A new operation is a struct in the file of its family
// and a name in `Op`; then the compiler names the passes that must say what they do with it (export/onnx_export.cpp …).
//
// A pass treats operations in one of two ways. Where every operation needs an answer, it visits them with a case for
// each: no case for "all others". Where it only makes certain patterns faster (fusion, kernels), it matches those with
// std::get_if, and whatever it does not match runs by apply().
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
#include "ops/pooling.h"
#include "ops/tokens.h"

namespace lorikeet {

/// A variant whose alternatives are all operations.
template <Operation... Ops>
using Operations = std::variant<Ops...>;

using Op = Operations<Input, Conv2d, BatchNorm2d, LayerNorm, LayerNorm2d, GlobalResponseNorm, Relu, Relu6, Gelu, Silu,
                      Sigmoid, HardSigmoid, HardSwish, Add, Multiply, UnusedParameter, LayerScale, MaxPool2d, AvgPool2d,
                      GlobalAvgPool, Linear, Attention, PixelsToTokens, PrependTokens, PositionEmbedding, TakeToken,
                      MeanTokens, Permute, Concat>;

/// PyTorch's class name: "Conv2d".
std::string op_name(const Op& op);
/// As PyTorch prints it: "Conv2d(64, 128, kernel_size=(3, 3), stride=(2, 2), padding=(1, 1))".
std::string describe(const Op& op);
/// Whether it takes that many inputs.
bool takes(const Op& op, std::size_t inputs);

/// In PyTorch's order.
std::vector<OpParameter> parameters_of(const Op& op);
bool has_parameters(const Op& op);
/// Whether the node's name is that of a module, as adapters name them, and not of a tensor.
bool is_module(const Op& op);
OpKind kind_of(const Op& op);
/// Whether its parameters stay float32 where activations are bfloat16.
bool has_float32_parameters(const Op& op);

/// Shapes without the batch dimension. Throws UsageError, naming the node `where`, where the inputs are too small.
Shape output_shape(const Op& op, c10::ArrayRef<Shape> inputs, const std::string& where);
/// Multiply-adds of one image.
std::int64_t macs(const Op& op, const OpShapes& shapes);
/// Bytes that autograd keeps of one image's forward pass until its gradient is computed.
std::uint64_t kept_bytes(const Op& op, const OpShapes& shapes, const GradientOptions& gradient);

/// What the operation means, in plain ATen: the definition that faster engines are tested against. Differentiable.
/// Inputs and output (N, …).
at::Tensor apply(const Op& op, const NodeTensors& tensors, at::TensorList inputs);

/// Lets a visitor be written as a list of lambdas, one for each operation …
template <typename... Cases>
struct Overload : Cases... {
  using Cases::operator()...;
};

/// … or one for several of them: `[](const OneOf<Relu, Relu6> auto&) {}`.
template <typename T, typename... Ops>
concept OneOf = (std::same_as<T, Ops> || ...);

}  // namespace lorikeet
