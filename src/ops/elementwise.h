// Element-wise operations: activations, sums, products and LayerScale. The output has the first input's shape.
#pragma once

#include <utility>

#include "ops/operation.h"

namespace lorikeet {

/// Defaults: one input, which autograd keeps (or the output, which has the same size), and no parameters.
struct Elementwise {
  static constexpr OpKind kKind = OpKind::kOther;
  static constexpr bool kFloat32Parameters = false;
  static bool takes(std::size_t inputs) { return inputs == 1; }
  static std::string arguments() { return ""; }
  static std::vector<OpParameter> parameters() { return {}; }
  static Shape output_shape(c10::ArrayRef<Shape> inputs, const std::string&) { return inputs[0]; }
  static std::int64_t macs(const OpShapes&) { return 0; }
  static std::uint64_t kept_bytes(const OpShapes& shapes, const GradientOptions& gradient) {
    return element_count(shapes.output) * gradient.element_size;
  }
};

struct Relu : Elementwise {
  static constexpr const char* kName = "ReLU";
  static at::Tensor forward(const NodeTensors& tensors, at::TensorList x);
};

struct Relu6 : Elementwise {
  static constexpr const char* kName = "ReLU6";
  static at::Tensor forward(const NodeTensors& tensors, at::TensorList x);
};

/// x · sigmoid(x), also called swish (Ramachandran et al., 2017, arXiv:1710.05941).
struct Silu : Elementwise {
  static constexpr const char* kName = "SiLU";
  static at::Tensor forward(const NodeTensors& tensors, at::TensorList x);
};

struct Sigmoid : Elementwise {
  static constexpr const char* kName = "Sigmoid";
  static at::Tensor forward(const NodeTensors& tensors, at::TensorList x);
};

/// relu6(x + 3) / 6 (Howard et al., 2019, arXiv:1905.02244).
struct HardSigmoid : Elementwise {
  static constexpr const char* kName = "Hardsigmoid";
  static at::Tensor forward(const NodeTensors& tensors, at::TensorList x);
};

/// x · HardSigmoid(x).
struct HardSwish : Elementwise {
  static constexpr const char* kName = "Hardswish";
  static at::Tensor forward(const NodeTensors& tensors, at::TensorList x);
};

/// The exact form with erf, or the tanh approximation (Hendrycks and Gimpel, 2016, arXiv:1606.08415).
enum class GeluForm { kExact, kTanh };

struct Gelu : Elementwise {
  explicit Gelu(GeluForm which = GeluForm::kExact) : form(which) {}

  GeluForm form;

  static constexpr const char* kName = "GELU";
  std::string arguments() const;
  at::Tensor forward(const NodeTensors& tensors, at::TensorList x) const;
};

/// Sum of two inputs of the same shape.
struct Add : Elementwise {
  static constexpr const char* kName = "Add";
  static bool takes(std::size_t inputs) { return inputs == 2; }
  static std::uint64_t kept_bytes(const OpShapes&, const GradientOptions&) { return 0; }
  static at::Tensor forward(const NodeTensors& tensors, at::TensorList x);
};

/// The product of two inputs; the second may have axes of size 1: (C, H, W) · (C, 1, 1), as in squeeze-and-excitation.
struct Multiply : Elementwise {
  static constexpr const char* kName = "Multiply";
  static bool takes(std::size_t inputs) { return inputs == 2; }
  static std::uint64_t kept_bytes(const OpShapes& shapes, const GradientOptions& gradient) {
    return (element_count(shapes.inputs[0]) + element_count(shapes.inputs[1])) * gradient.element_size;
  }
  static at::Tensor forward(const NodeTensors& tensors, at::TensorList x);
};

/// The input. The parameter, which belongs to no module, is part of the library's state dict but unused in
/// classification (`mask_token`).
struct UnusedParameter : Elementwise {
  explicit UnusedParameter(Shape size) : shape(std::move(size)) {}

  Shape shape;

  static constexpr const char* kName = "UnusedParameter";
  std::vector<OpParameter> parameters() const { return {{"", shape}}; }
  static std::uint64_t kept_bytes(const OpShapes&, const GradientOptions&) { return 0; }
  static at::Tensor forward(const NodeTensors&, at::TensorList x) { return x[0]; }
};

/// A learned factor for each feature (Touvron et al., 2021, arXiv:2103.17239). The parameter, which belongs to no
/// module: (features,) for (N, …, features), or (features, 1, 1) for (N, features, H, W).
struct LayerScale : Elementwise {
  LayerScale(std::int64_t size, bool before_image) : features(size), spatial(before_image) {}

  std::int64_t features;
  bool spatial;

  static constexpr const char* kName = "LayerScale";
  std::string arguments() const;
  std::vector<OpParameter> parameters() const { return {{"", spatial ? Shape{features, 1, 1} : Shape{features}}}; }
  static std::uint64_t kept_bytes(const OpShapes& shapes, const GradientOptions& gradient) {
    return gradient.learned ? element_count(shapes.output) * gradient.element_size : 0;
  }
  static at::Tensor forward(const NodeTensors& tensors, at::TensorList x);
};

}  // namespace lorikeet
