// The tensors of one node, by the names that its operation gives them: "weight", "running_mean" …
#pragma once

#include <ATen/core/Tensor.h>

#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace lorikeet {

/// In the order of the operation's parameters. A node has few, so that a search by name compares a handful of short
/// strings.
class NodeTensors {
 public:
  using Entry = std::pair<std::string, at::Tensor>;

  NodeTensors() = default;
  NodeTensors(std::initializer_list<Entry> entries) : entries_(entries) {}

  /// An undefined tensor where there is none of that name.
  const at::Tensor& operator[](std::string_view name) const;
  /// What most operations have.
  const at::Tensor& weight() const { return (*this)["weight"]; }
  const at::Tensor& bias() const { return (*this)["bias"]; }

  /// Replaces or adds. An undefined tensor stands for none.
  void set(std::string_view name, at::Tensor tensor);

  std::size_t size() const { return entries_.size(); }
  auto begin() { return entries_.begin(); }
  auto end() { return entries_.end(); }
  auto begin() const { return entries_.begin(); }
  auto end() const { return entries_.end(); }

 private:
  std::vector<Entry> entries_;
};

/// The tensor as ATen's operators take one that may be missing.
std::optional<at::Tensor> optional_tensor(const at::Tensor& tensor);

}  // namespace lorikeet
