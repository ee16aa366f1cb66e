#include "ops/node_tensors.h"

#include <algorithm>

namespace lorikeet {

const at::Tensor& NodeTensors::operator[](std::string_view name) const {
  static const at::Tensor kNone;
  const auto found = std::find_if(begin(), end(), [&](const Entry& entry) { return entry.first == name; });
  return found == end() ? kNone : found->second;
}

void NodeTensors::set(std::string_view name, at::Tensor tensor) {
  const auto found = std::find_if(begin(), end(), [&](const Entry& entry) { return entry.first == name; });
  if (found == end()) {
    entries_.emplace_back(name, std::move(tensor));
  } else {
    found->second = std::move(tensor);
  }
}

std::optional<at::Tensor> optional_tensor(const at::Tensor& tensor) {
  return tensor.defined() ? std::optional(tensor) : std::nullopt;
}

}  // namespace lorikeet
