// Tensors by name, in the order of the file they came from: what every weight format is read into and written from.
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

/// Readers refuse tensors of more dimensions.
inline constexpr std::size_t kMaxTensorRank = 16;

class NamedTensors {
 public:
  using Entry = std::pair<std::string, at::Tensor>;

  /// Throws Error where `name` is there already.
  void add(std::string name, at::Tensor tensor);
  /// Replaces or adds.
  void set(std::string_view name, at::Tensor tensor);

  /// Null where there is none of that name.
  const at::Tensor* find(std::string_view name) const;
  bool contains(std::string_view name) const { return find(name) != nullptr; }

  std::size_t size() const { return entries_.size(); }
  bool empty() const { return entries_.empty(); }
  auto begin() const { return entries_.begin(); }
  auto end() const { return entries_.end(); }

  /// Bytes of all tensors together.
  std::uint64_t bytes() const;

  /// Removes what wrappers put before every name: "module." of DataParallel and AveragedModel (whose counter
  /// n_averaged goes too), "_orig_mod." of torch.compile, "model." of Lightning modules and others; also one after
  /// another. Nothing where a name has another beginning.
  void remove_wrapper_prefixes();

  /// Free text beside the tensors (safetensors' `__metadata__`).
  std::map<std::string, std::string> metadata;
  /// What the reader chose or left out, one line each, for people.
  std::vector<std::string> notes;

 private:
  std::vector<Entry> entries_;
  // Not a hash table: names come from outside, and can be chosen so that they collide.
  std::map<std::string, std::size_t, std::less<>> index_;
};

/// Copies of the tensors, outside of autograd; without metadata and notes.
NamedTensors copied(const NamedTensors& tensors);

/// Whether no element is NaN or infinite, taken as float32. REQUIRES: floating-point numbers.
bool all_finite(const at::Tensor& tensor);

/// "(512, 2048, 1, 1)".
std::string shape_text(at::IntArrayRef shape);

}  // namespace lorikeet
