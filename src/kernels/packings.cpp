#include "kernels/packings.h"

#include <ATen/Functions.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "kernels/onednn.h"

namespace lorikeet {
namespace {

constexpr int kPlainLayout = -1;

// The layout of each shape. It depends only on the shape and the number of threads, so one table serves the process,
// and layers of one shape query oneDNN once.
class LayoutTable {
 public:
  std::optional<int> find(const std::vector<std::int64_t>& shape) const {
    const std::lock_guard lock(mutex_);
    const auto known = by_shape_.find(shape);
    return known == by_shape_.end() ? std::nullopt : std::optional(known->second);
  }

  int add(const std::vector<std::int64_t>& shape, const at::Tensor& packed) {
    std::string layout = packed_layout(packed);
    const std::lock_guard lock(mutex_);
    if (by_shape_.size() >= kMostShapes) by_shape_.clear();  // to be queried again
    const int id = numbers_.emplace(std::move(layout), static_cast<int>(numbers_.size())).first->second;
    by_shape_[shape] = id;
    return id;
  }

  // Never destroyed: other threads may outlive main.
  static LayoutTable& instance() {
    static auto* const kTable = new LayoutTable;
    return *kTable;
  }

 private:
  static constexpr std::size_t kMostShapes = 1 << 14;

  mutable std::mutex mutex_;
  std::map<std::vector<std::int64_t>, int> by_shape_;
  std::map<std::string, int> numbers_;
};

}  // namespace

const at::Tensor* Packings::find(int form, std::int64_t part, int layout) const {
  for (Kept& kept : kept_) {
    if (kept.form != form || kept.part != part || kept.layout != layout) continue;
    kept.last_use = ++uses_;
    return &kept.tensor;
  }
  return nullptr;
}

const at::Tensor& Packings::keep(Kept kept) const {
  const auto same_form = [&](const Kept& other) { return other.form == kept.form; };
  if (std::count_if(kept_.begin(), kept_.end(), same_form) >= static_cast<std::ptrdiff_t>(kKept)) {
    const auto later = [&](const Kept& a, const Kept& b) {
      return std::pair(!same_form(a), a.last_use) < std::pair(!same_form(b), b.last_use);
    };
    kept_.erase(std::min_element(kept_.begin(), kept_.end(), later));
  }
  kept.last_use = ++uses_;
  return kept_.emplace_back(std::move(kept)).tensor;
}

at::Tensor Packings::get(const Request& request) const {
  std::vector<std::int64_t> shape = request.shape;
  shape.push_back(at::get_num_threads());
  LayoutTable& table = LayoutTable::instance();
  const std::lock_guard lock(mutex_);
  std::optional<int> layout = table.find(shape);
  if (layout) {
    if (const at::Tensor* const found = find(request.form, request.part, *layout)) return *found;
  }
  const at::Tensor packed = request.pack();
  if (!layout) {
    layout = table.add(shape, packed);
    if (const at::Tensor* const found = find(request.form, request.part, *layout)) return *found;
  }
  const bool is_first = std::none_of(kept_.begin(), kept_.end(), [&](const Kept& kept) {
    return kept.form == request.form && kept.part == request.part;
  });
  if (!is_first && asked_.insert({request.form, request.part, *layout}).second) return packed;
  return keep({request.form, request.part, *layout, packed});
}

at::Tensor Packings::get_plain(int form, std::int64_t part, const std::function<at::Tensor()>& make) const {
  const std::lock_guard lock(mutex_);
  if (const at::Tensor* const found = find(form, part, kPlainLayout)) return *found;
  return keep({form, part, kPlainLayout, make()});
}

std::uint64_t Packings::bytes() const {
  const std::lock_guard lock(mutex_);
  std::uint64_t total = 0;
  for (const Kept& kept : kept_)
    total += kept.layout == kPlainLayout ? kept.tensor.nbytes() : packed_bytes(kept.tensor);
  return total;
}

}  // namespace lorikeet
