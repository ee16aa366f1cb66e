// The packed forms of one layer's frozen weights, for any number of threads. oneDNN wants a layout that depends on the
// input's shape; most shapes share one. A packing is therefore kept by its layout, not by its shape, and serves every
// shape that wants it. Every shape runs in the layout that oneDNN wants for it, so results depend on the input alone,
// never on what was packed before.
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
  /// How many layouts are kept of one form. The least recently used is dropped.
  static constexpr std::size_t kKept = 3;

  struct Request {
    /// What is packed of the weights: numbers that the caller chooses. kKept layouts are kept of a `form`, of any
    /// `part`.
    int form = 0;
    std::int64_t part = 0;
    /// What determines the layout, besides the number of threads (layout_shape()).
    std::vector<std::int64_t> shape;
    std::function<at::Tensor()> pack;
  };
  /// The weight in the layout that the shape asks for. Packed under a lock if no other layer has asked for the shape
  /// yet, or the layout is not kept. A second layout is kept from the second request on: a short last
  /// batch that comes only once then costs no memory that stays.
  at::Tensor get(const Request& request) const;

  /// The same for a tensor that is not packed, and has one layout: `make` makes it.
  at::Tensor get_plain(int form, std::int64_t part, const std::function<at::Tensor()>& make) const;

  /// Bytes that are kept.
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
  mutable std::set<std::array<std::int64_t, 3>> asked_;  // form, part and layout that were packed, but not kept
  mutable std::uint64_t uses_ = 0;
};

}  // namespace lorikeet
