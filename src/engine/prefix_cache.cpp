#include "engine/prefix_cache.h"

#include <ATen/Functions.h>
#include <ATen/core/grad_mode.h>

namespace lorikeet {

PrefixCache::PrefixCache(std::int64_t images)
    : filled_(static_cast<std::size_t>(images), false), missing_(images), labels_(at::zeros({images}, at::kLong)) {}

namespace {

// (N, C, H, W) in channels-last memory ↔ (N, H, W, C): whole rows are then copied at once, and come back channels-last.
at::Tensor rows_of(const at::Tensor& tensor) { return tensor.dim() == 4 ? tensor.permute({0, 2, 3, 1}) : tensor; }
at::Tensor images_of(const at::Tensor& rows) { return rows.dim() == 4 ? rows.permute({0, 3, 1, 2}) : rows; }

}  // namespace

void PrefixCache::store(const at::Tensor& indices, const at::Tensor& labels, const Frontier& frontier) {
  const at::NoGradGuard no_grad;
  if (rows_.empty()) {
    for (const at::Tensor& tensor : frontier) {
      std::vector<std::int64_t> shape = rows_of(tensor).sizes().vec();
      shape[0] = static_cast<std::int64_t>(filled_.size());
      rows_.push_back(at::empty(shape, tensor.options()));
    }
  }
  for (std::size_t i = 0; i < frontier.size(); ++i) rows_[i].index_copy_(0, indices.to(frontier[i].device()), rows_of(frontier[i]));
  labels_.index_copy_(0, indices, labels);
  for (std::int64_t i = 0; i < indices.size(0); ++i) {
    const auto index = static_cast<std::size_t>(indices[i].item<std::int64_t>());
    if (!filled_[index]) --missing_;
    filled_[index] = true;
  }
}

Frontier PrefixCache::load(const at::Tensor& indices) const {
  Frontier out;
  for (const at::Tensor& rows : rows_) out.push_back(images_of(at::index_select(rows, 0, indices.to(rows.device()))));
  return out;
}

}  // namespace lorikeet
