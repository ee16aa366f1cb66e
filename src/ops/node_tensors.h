// The tensors of one node by the operation's parameter names: "weight", "running_mean" …
#pragma once

#include <ATen/core/Tensor.h>

#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace lorikeet {

/// In the order of the operation's parameters. Nodes have few tensors, so a linear search is fast.
class NodeTensors {
 public:
  using Entry = std::pair<std::string, at::Tensor>;

  NodeTensors() = default;
  NodeTensors(std::initializer_list<Entry> entries) : entries_(entries) {}

  /// Undefined if there is no tensor of that name.
  const at::Tensor& operator[](std::string_view name) const;
  /// The parameter that most operations have.
  const at::Tensor& weight() const { return (*this)["weight"]; }
  const at::Tensor& bias() const { return (*this)["bias"]; }

  /// Replaces or adds a tensor. An undefined tensor means none.
  void set(std::string_view name, at::Tensor tensor);

  std::size_t size() const { return entries_.size(); }
  auto begin() { return entries_.begin(); }
  auto end() { return entries_.end(); }
  auto begin() const { return entries_.begin(); }
  auto end() const { return entries_.end(); }

 private:
  std::vector<Entry> entries_;
};

/// Converts a possibly undefined tensor to an optional argument of ATen's operators.
std::optional<at::Tensor> optional_tensor(const at::Tensor& tensor);

}  // namespace lorikeet
