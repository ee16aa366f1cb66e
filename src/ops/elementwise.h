// Operations on each element by itself: activations and sums. No parameters; the output has the input's shape.
#pragma once

#include "ops/operation.h"

namespace lorikeet {

/// What all of them have in common: one input, which autograd keeps (or the output, which is as large).
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

/// With the normal distribution's integral, or with the approximation by tanh (Hendrycks and Gimpel, 2016,
/// arXiv:1606.08415).
enum class GeluForm { kExact, kTanh };

struct Gelu : Elementwise {
  explicit Gelu(GeluForm which = GeluForm::kExact) : form(which) {}

  GeluForm form;

  static constexpr const char* kName = "GELU";
  std::string arguments() const;
  at::Tensor forward(const NodeTensors& tensors, at::TensorList x) const;
};

/// The sum of two inputs of one shape.
struct Add : Elementwise {
  static constexpr const char* kName = "Add";
  static bool takes(std::size_t inputs) { return inputs == 2; }
  static std::uint64_t kept_bytes(const OpShapes&, const GradientOptions&) { return 0; }
  static at::Tensor forward(const NodeTensors& tensors, at::TensorList x);
};

}  // namespace lorikeet
