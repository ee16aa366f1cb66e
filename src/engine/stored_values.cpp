#include "engine/stored_values.h"

#include <ATen/Functions.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <vector>

namespace lorikeet {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

bool is_stand_in(const at::Tensor& value) {
  const at::IntArrayRef strides = value.strides();
  return value.dim() == 4 &&
         std::all_of(strides.begin(), strides.end(), [](std::int64_t stride) { return stride == 0; });
}

at::Tensor stored_behind(const at::Tensor& value) {
  const std::int64_t channels = value.size(1), row = channels * value.size(3);
  return at::empty({0}, at::kByte).set_(value.storage(), 0, value.sizes(), {row * value.size(2), 1, row, channels});
}

struct Restore : torch::autograd::Function<Restore> {
  static at::Tensor forward(AutogradContext*, const at::Tensor& value, const Quantization& q) {
    return dequantized(stored_behind(value), q, value.scalar_type());
  }
  static variable_list backward(AutogradContext*, const variable_list& grads) { return {grads[0], at::Tensor()}; }
};

}  // namespace

at::Tensor stand_in(const at::Tensor& stored, at::ScalarType type) {
  return at::empty({0}, type).set_(stored.storage(), 0, stored.sizes(), std::vector<std::int64_t>(4, 0));
}

at::Tensor real_value(const at::Tensor& value, const Quantization& q, at::ScalarType type) {
  if (value.scalar_type() == at::kByte) return dequantized(value, q, type);
  return is_stand_in(value) ? Restore::apply(value, q) : value;
}

at::Tensor stored_value(const at::Tensor& value, const Quantization& q) {
  if (value.scalar_type() == at::kByte) return value;
  return is_stand_in(value) ? stored_behind(value) : quantized(value, q);
}

}  // namespace lorikeet
