// Tensors by name, in file order: the common form of all weight formats.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace lorikeet {

/// Maximum number of dimensions; readers reject more.
inline constexpr std::size_t kMaxTensorRank = 16;

class NamedTensors {
 public:
  using Entry = std::pair<std::string, at::Tensor>;

  /// Throws Error if `name` already exists.
  void add(std::string name, at::Tensor tensor);
  /// Replaces or adds.
  void set(std::string_view name, at::Tensor tensor);

  /// Null if there is no such name.
  const at::Tensor* find(std::string_view name) const;
  bool contains(std::string_view name) const { return find(name) != nullptr; }

  std::size_t size() const { return entries_.size(); }
  bool empty() const { return entries_.empty(); }
  auto begin() const { return entries_.begin(); }
  auto end() const { return entries_.end(); }

  /// Total size in bytes.
  std::uint64_t bytes() const;

  /// Removes prefixes that wrappers add to every name: "module." of DataParallel and AveragedModel, "_orig_mod." of
  /// torch.compile, "model." of Lightning modules and others, also nested; and the counters beside the wrapped module:
  /// n_averaged, and the profiler thop's total_ops and total_params. Does nothing unless all other names have the
  /// prefix.
  void remove_wrapper_prefixes();

  /// Text stored with the tensors: safetensors' `__metadata__`; "arch", the model that timm's training script names.
  std::map<std::string, std::string> metadata;
  /// Choices made by the reader and ignored content, one line each.
  std::vector<std::string> notes;

 private:
  std::vector<Entry> entries_;
  // Not a hash table: names are untrusted and could be chosen to collide.
  std::map<std::string, std::size_t, std::less<>> index_;
};

/// Copies the tensors, detached from autograd, without metadata and notes.
NamedTensors copied(const NamedTensors& tensors);

/// Whether all elements, converted to float32, are finite. REQUIRES: a floating-point type.
bool all_finite(const at::Tensor& tensor);

/// "(512, 2048, 1, 1)".
std::string shape_text(at::IntArrayRef shape);

}  // namespace lorikeet
