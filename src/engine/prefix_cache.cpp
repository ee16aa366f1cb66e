#include "engine/prefix_cache.h"

#include <ATen/Functions.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <atomic>
#include <utility>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/scratch_memory.h"

namespace lorikeet {

namespace {

constexpr std::uint64_t kAlignment = 64;
constexpr std::uint64_t kMaxDescription = 1 << 20;

// Converts between (N, C, H, W) in channels-last memory and (N, H, W, C). Rows are then contiguous, and keep their
// memory layout, so that the same kernels run with and without the cache.
at::Tensor rows_of(const at::Tensor& tensor, bool channels_last) {
  return channels_last ? tensor.permute({0, 2, 3, 1}) : tensor;
}
at::Tensor images_of(const at::Tensor& rows, bool channels_last) {
  return channels_last ? rows.permute({0, 3, 1, 2}) : rows;
}

std::uint64_t aligned(std::uint64_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

}  // namespace

PrefixCache::PrefixCache(std::int64_t images, std::filesystem::path folder)
    : images_(images), folder_(std::move(folder)), own_filled_(static_cast<std::size_t>(images), 0),
      filled_(own_filled_.data()), labels_(at::zeros({images}, at::kLong)), missing_(images) {}

PrefixCache::PrefixCache(std::int64_t images, Shared shared)
    : images_(images), shared_(std::move(shared.file)), missing_(images) {}

void PrefixCache::make_rows(const std::vector<Rows>& rows, const Frontier& like) {
  if (!like.empty()) device_ = like.front().device();
  for (std::size_t i = 0; i < rows.size(); ++i) {
    channels_last_.push_back(rows[i].channels_last);
    if (folder_.empty()) {
      rows_.push_back(at::empty(rows[i].shape, like[i].options()));
      continue;
    }
    const auto elements = static_cast<std::uint64_t>(c10::multiply_integers(rows[i].shape));
    const auto memory = std::make_shared<ScratchMemory>(folder_, elements * like[i].element_size());
    rows_.push_back(at::from_blob(
        memory->data(), rows[i].shape, [memory](void*) {}, like[i].options().device(at::kCPU)));
  }
}

void PrefixCache::map_rows(const std::vector<Rows>& rows) {
  const auto images = static_cast<std::uint64_t>(images_);
  std::uint64_t bytes = aligned(images) + aligned(images * sizeof(std::int64_t));
  for (const Rows& each : rows)
    bytes += aligned(static_cast<std::uint64_t>(c10::multiply_integers(each.shape)) * c10::elementSize(each.type));
  memory_ = ScratchMemory::shared(shared_, bytes);
  const auto tensor = [memory = memory_](std::byte* data, at::IntArrayRef shape, at::ScalarType type) {
    return at::from_blob(
        data, shape, [memory](void*) {}, at::TensorOptions().dtype(type));
  };
  std::byte* at = memory_->data();
  filled_ = reinterpret_cast<std::uint8_t*>(at);
  at += aligned(images);
  labels_ = tensor(at, {images_}, at::kLong);
  at += aligned(images * sizeof(std::int64_t));
  for (const Rows& each : rows) {
    channels_last_.push_back(each.channels_last);
    rows_.push_back(tensor(at, each.shape, each.type));
    at += aligned(rows_.back().nbytes());
  }
}

void PrefixCache::open_shared() {
  const std::filesystem::path description = shared_.string() + ".json";
  std::error_code missing;
  if (filled_ != nullptr || is_disabled_ || !std::filesystem::exists(description, missing)) return;
  try {
    std::vector<Rows> rows;
    for (const Json& each : parse_json(read_file(description, kMaxDescription), description.string())) {
      rows.push_back({each.at("shape").get<std::vector<std::int64_t>>(),
                      static_cast<at::ScalarType>(each.at("type").get<int>()), each.at("channels_last").get<bool>()});
      if (rows.back().shape.empty() || rows.back().shape.front() != images_)
        fail(description.string(), ": got another number of images, expected ", images_, ".");
    }
    map_rows(rows);
  } catch (const Json::exception&) {
    is_disabled_ = true;
  } catch (const Error&) {  // no space: training goes on without it
    is_disabled_ = true;
  }
}

void PrefixCache::store(const at::Tensor& indices, const at::Tensor& labels, const Frontier& frontier) {
  const at::NoGradGuard no_grad;
  if (is_shared()) open_shared();
  if (is_disabled_) return;
  if (rows_.empty()) {
    std::vector<Rows> rows;
    for (const at::Tensor& tensor : frontier) {
      const bool channels_last =
          tensor.dim() == 4 && !tensor.is_contiguous() && tensor.is_contiguous(at::MemoryFormat::ChannelsLast);
      rows.push_back({rows_of(tensor, channels_last).sizes().vec(), tensor.scalar_type(), channels_last});
      rows.back().shape[0] = images_;
    }
    if (!is_shared()) {
      make_rows(rows, frontier);
    } else {
      Json description = Json::array();
      for (const Rows& each : rows)
        description.push_back(
            {{"shape", each.shape}, {"type", static_cast<int>(each.type)}, {"channels_last", each.channels_last}});
      try {
        map_rows(rows);
        write_file(shared_.string() + ".json", json_text(description));
      } catch (const Error&) {
        is_disabled_ = true;
        return;
      }
    }
  }
  for (std::size_t i = 0; i < frontier.size(); ++i) {
    const at::Tensor rows = rows_of(frontier[i], channels_last_[i]).to(rows_[i].device());
    rows_[i].index_copy_(0, indices.to(rows.device()), rows);
  }
  labels_.index_copy_(0, indices, labels.to(at::kCPU));
  const at::Tensor contiguous = indices.contiguous();
  const std::int64_t* index = contiguous.const_data_ptr<std::int64_t>();
  for (std::int64_t i = 0; i < indices.size(0); ++i) {
    // Other processes see the rows of an image before they see that it is stored.
    const std::atomic_ref<std::uint8_t> filled(filled_[index[i]]);
    if (filled.exchange(1, std::memory_order_release) == 0) --missing_;
  }
}

bool PrefixCache::has(const at::Tensor& indices) {
  if (is_shared()) open_shared();
  if (filled_ == nullptr || rows_.empty()) return false;
  const at::Tensor contiguous = indices.contiguous();
  const std::int64_t* index = contiguous.const_data_ptr<std::int64_t>();
  for (std::int64_t i = 0; i < indices.size(0); ++i) {
    const std::atomic_ref<std::uint8_t> filled(filled_[index[i]]);
    if (filled.load(std::memory_order_acquire) == 0) return false;
  }
  return true;
}

bool PrefixCache::complete() { return is_shared() ? has(at::arange(images_)) : missing_ == 0; }

Frontier PrefixCache::load(const at::Tensor& indices) const {
  Frontier out;
  for (std::size_t i = 0; i < rows_.size(); ++i) {
    const at::Tensor rows = at::index_select(rows_[i], 0, indices.to(rows_[i].device())).to(device_);
    out.push_back(images_of(rows, channels_last_[i]));
  }
  return out;
}

}  // namespace lorikeet
