#include "engine/prefix_cache.h"

#include <ATen/Functions.h>
#include <ATen/core/grad_mode.h>

#include <memory>
#include <utility>

#include "base/scratch_memory.h"

namespace lorikeet {

namespace {

// Converts between (N, C, H, W) in channels-last memory and (N, H, W, C). Rows are then contiguous, and keep their
// memory layout, so that the same kernels run with and without the cache.
at::Tensor rows_of(const at::Tensor& tensor, bool channels_last) {
  return channels_last ? tensor.permute({0, 2, 3, 1}) : tensor;
}
at::Tensor images_of(const at::Tensor& rows, bool channels_last) {
  return channels_last ? rows.permute({0, 3, 1, 2}) : rows;
}

}  // namespace

PrefixCache::PrefixCache(std::int64_t images, std::filesystem::path folder)
    : folder_(std::move(folder)), filled_(static_cast<std::size_t>(images), false), missing_(images),
      labels_(at::zeros({images}, at::kLong)) {}

at::Tensor PrefixCache::make_rows(at::IntArrayRef shape, const at::Tensor& like) const {
  if (folder_.empty()) return at::empty(shape, like.options());
  const auto elements = static_cast<std::uint64_t>(c10::multiply_integers(shape));
  const auto memory = std::make_shared<ScratchMemory>(folder_, elements * like.element_size());
  return at::from_blob(
      memory->data(), shape, [memory](void*) {}, like.options().device(at::kCPU));
}

void PrefixCache::store(const at::Tensor& indices, const at::Tensor& labels, const Frontier& frontier) {
  const at::NoGradGuard no_grad;
  if (rows_.empty()) {
    if (!frontier.empty()) device_ = frontier.front().device();
    for (const at::Tensor& tensor : frontier) {
      channels_last_.push_back(tensor.dim() == 4 && !tensor.is_contiguous() &&
                               tensor.is_contiguous(at::MemoryFormat::ChannelsLast));
      std::vector<std::int64_t> shape = rows_of(tensor, channels_last_.back()).sizes().vec();
      shape[0] = static_cast<std::int64_t>(filled_.size());
      rows_.push_back(make_rows(shape, tensor));
    }
  }
  for (std::size_t i = 0; i < frontier.size(); ++i) {
    const at::Tensor rows = rows_of(frontier[i], channels_last_[i]).to(rows_[i].device());
    rows_[i].index_copy_(0, indices.to(rows.device()), rows);
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
    const at::Tensor rows = at::index_select(rows_[i], 0, indices.to(rows_[i].device())).to(device_);
    out.push_back(images_of(rows, channels_last_[i]));
  }
  return out;
}

}  // namespace lorikeet
