// The packed forms of one layer's frozen weights. Thread-safe. oneDNN requires a layout that depends on the input's
// shape, but most shapes share one. Packings are therefore stored by layout, not by shape. Every shape runs in the
// layout that oneDNN requires, so results depend only on the input, not on earlier packings.
#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>
#include <functional>
#include <mutex>
#include <set>
#include <vector>

namespace lorikeet {

class Packings {
 public:
  /// Number of layouts kept per form. The least recently used one is dropped.
  static constexpr std::size_t kKept = 3;

  struct Request {
    /// Identifies the packed form of the weights; the caller chooses the numbers. kKept layouts are kept per `form`,
    /// over all `part`s.
    int form = 0;
    std::int64_t part = 0;
    /// Determines the layout together with the number of threads (layout_shape()).
    std::vector<std::int64_t> shape;
    std::function<at::Tensor()> pack;
  };
  /// Returns the weight in the layout of the shape. Packs it under a lock if the layout is not yet known or not kept. A
  /// second layout is kept only from its second request, so that a short last batch that occurs once uses no permanent
  /// memory.
  at::Tensor get(const Request& request) const;

  /// The same for an unpacked tensor with a single layout, created by `make`.
  at::Tensor get_plain(int form, std::int64_t part, const std::function<at::Tensor()>& make) const;

  /// Bytes of the kept packings.
  std::uint64_t bytes() const;

 private:
  struct Kept {
    int form = 0;
    std::int64_t part = 0;
    int layout = 0;
    at::Tensor tensor;
    std::uint64_t last_use = 0;
  };

  const at::Tensor* find(int form, std::int64_t part, int layout) const;
  const at::Tensor& keep(Kept kept) const;

  mutable std::mutex mutex_;
  mutable std::vector<Kept> kept_;
  mutable std::set<std::array<std::int64_t, 3>> asked_;  // form, part and layout of packings that were not kept
  mutable std::uint64_t uses_ = 0;
};

}  // namespace lorikeet
