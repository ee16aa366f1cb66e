#include "engine/prefix_cache.h"

#include <ATen/Functions.h>
#include <ATen/core/grad_mode.h>

namespace lorikeet {

PrefixCache::PrefixCache(std::int64_t images)
    : filled_(static_cast<std::size_t>(images), false), missing_(images), labels_(at::zeros({images}, at::kLong)) {}

namespace {

// (N, C, H, W) in channels-last memory ↔ (N, H, W, C): whole rows are then copied at once, and come back as they were, so that
// a step on the cache takes the kernels that a step on images takes.
at::Tensor rows_of(const at::Tensor& tensor, bool channels_last) { return channels_last ? tensor.permute({0, 2, 3, 1}) : tensor; }
at::Tensor images_of(const at::Tensor& rows, bool channels_last) { return channels_last ? rows.permute({0, 3, 1, 2}) : rows; }

}  // namespace

void PrefixCache::store(const at::Tensor& indices, const at::Tensor& labels, const Frontier& frontier) {
  const at::NoGradGuard no_grad;
  if (rows_.empty()) {
    for (const at::Tensor& tensor : frontier) {
      channels_last_.push_back(tensor.dim() == 4 && !tensor.is_contiguous() && tensor.is_contiguous(at::MemoryFormat::ChannelsLast));
      std::vector<std::int64_t> shape = rows_of(tensor, channels_last_.back()).sizes().vec();
      shape[0] = static_cast<std::int64_t>(filled_.size());
      rows_.push_back(at::empty(shape, tensor.options()));
    }
  }
  for (std::size_t i = 0; i < frontier.size(); ++i) {
    rows_[i].index_copy_(0, indices.to(frontier[i].device()), rows_of(frontier[i], channels_last_[i]));
  }
  labels_.index_copy_(0, indices, labels);
  for (std::int64_t i = 0; i < indices.size(0); ++i) {
    const auto index = static_cast<std::size_t>(indices[i].item<std::int64_t>());
    if (!filled_[index]) --missing_;
    filled_[index] = true;
  }
}

Frontier PrefixCache::load(const at::Tensor& indices) const {
  Frontier out;
  for (std::size_t i = 0; i < rows_.size(); ++i) {
    out.push_back(images_of(at::index_select(rows_[i], 0, indices.to(rows_[i].device())), channels_last_[i]));
  }
  return out;
}

}  // namespace lorikeet
