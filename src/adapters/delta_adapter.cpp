#include "adapters/delta_adapter.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include <algorithm>

namespace lorikeet {

DeltaAdapter::DeltaAdapter(const std::vector<AdapterTensor>& tensors, const std::vector<std::string>& zero,
                           at::Generator& generator) {
  for (const auto& [suffix, shape, learned] : tensors) {
    const bool is_zero = std::find(zero.begin(), zero.end(), suffix) != zero.end();
    tensors_.emplace_back(suffix, is_zero ? at::zeros(shape) : kaiming_uniform(shape, generator));
  }
}

std::vector<LayerAdapter::Part> DeltaAdapter::parts() {
  std::vector<Part> out;
  for (auto& [suffix, tensor] : tensors_) out.push_back({suffix, &tensor});
  return out;
}

bool DeltaAdapter::has(const std::string& suffix) const {
  return std::any_of(tensors_.begin(), tensors_.end(), [&](const auto& entry) { return entry.first == suffix; });
}

const at::Tensor& DeltaAdapter::tensor(const std::string& suffix) const {
  return std::find_if(tensors_.begin(), tensors_.end(), [&](const auto& entry) { return entry.first == suffix; })
      ->second;
}

at::Tensor DeltaAdapter::adapted(const at::Tensor& weight, bool) const {
  return weight + delta_weight().view(weight.sizes()).to(weight.scalar_type());
}

at::Tensor cp_weight(const at::Tensor& t, const at::Tensor& a, const at::Tensor& b) {
  return at::einsum("ijkl,jq,ip->pqkl", {t, b, a});
}

}  // namespace lorikeet
