#include "ops/op.h"

#include <algorithm>
#include <functional>
#include <numeric>

namespace lorikeet {

std::uint64_t element_count(const Shape& shape) {
  return static_cast<std::uint64_t>(std::accumulate(shape.begin(), shape.end(), std::int64_t{1}, std::multiplies<>()));
}

std::string op_name(const Op& op) {
  return std::visit([](const auto& one) { return std::string(one.kName); }, op);
}

std::string describe(const Op& op) {
  return op_name(op) + std::visit([](const auto& one) { return one.arguments(); }, op);
}

bool takes(const Op& op, std::size_t inputs) {
  return std::visit([&](const auto& one) { return one.takes(inputs); }, op);
}

std::vector<OpParameter> parameters_of(const Op& op) {
  return std::visit([](const auto& one) { return one.parameters(); }, op);
}

bool has_parameters(const Op& op) { return !parameters_of(op).empty(); }

bool is_module(const Op& op) {
  const auto parameters = parameters_of(op);
  return std::none_of(parameters.begin(), parameters.end(),
                      [](const auto& parameter) { return parameter.name.empty(); });
}

OpKind kind_of(const Op& op) {
  return std::visit([](const auto& one) { return one.kKind; }, op);
}

bool has_float32_parameters(const Op& op) {
  return std::visit([](const auto& one) { return one.kFloat32Parameters; }, op);
}

Shape output_shape(const Op& op, c10::ArrayRef<Shape> inputs, const std::string& where) {
  return std::visit([&](const auto& one) { return one.output_shape(inputs, where); }, op);
}

std::int64_t macs(const Op& op, const OpShapes& shapes) {
  return std::visit([&](const auto& one) { return one.macs(shapes); }, op);
}

std::uint64_t kept_bytes(const Op& op, const OpShapes& shapes, const GradientOptions& gradient) {
  return std::visit([&](const auto& one) { return one.kept_bytes(shapes, gradient); }, op);
}

at::Tensor apply(const Op& op, const NodeTensors& tensors, at::TensorList inputs) {
  return std::visit([&](const auto& one) { return one.forward(tensors, inputs); }, op);
}

}  // namespace lorikeet
