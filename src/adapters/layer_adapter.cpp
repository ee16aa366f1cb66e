#include "adapters/layer_adapter.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/Generator.h>

#include <cmath>

namespace lorikeet {

std::vector<std::pair<std::string, at::Tensor>> LayerAdapter::saved() const {
  std::vector<std::pair<std::string, at::Tensor>> out;
  for (const Part& part : const_cast<LayerAdapter*>(this)->parts())
    out.emplace_back(part.suffix, part.tensor->detach());
  return out;
}

bool is_shared_tensor(std::string_view key) {
  return key == "vera_A" || key == "vera_B" || key == "unilora_theta_d" || key.starts_with("tinylora_v.");
}

at::Tensor scaled_outputs(const at::Tensor& weight, const at::Tensor& scale) {
  std::vector<std::int64_t> shape(static_cast<std::size_t>(weight.dim()), 1);
  shape[0] = -1;
  return weight * scale.reshape(shape);
}

at::Tensor kaiming_uniform(at::IntArrayRef shape, at::Generator& generator) {
  at::Tensor out = at::empty(shape);
  const std::int64_t fan_in = out.numel() / out.size(0);
  const double bound = 1 / std::sqrt(static_cast<double>(fan_in));
  return out.uniform_(-bound, bound, generator);
}

}  // namespace lorikeet
