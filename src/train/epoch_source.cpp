#include "train/epoch_source.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "base/random.h"
#include "engine/tensor_type.h"
#include "image/mix.h"
#include "image/transform.h"
#include "train/recipe.h"

namespace lorikeet {
namespace {

constexpr std::uint64_t kMixingStream = 0x6d69786d69786d69;  // separates these numbers from those of single images

}  // namespace

EpochSource::EpochSource(Executor& executor, const LoopData& data, const TrainingOptions& options, PrefixCache* cache,
                         EpochStart start)
    : executor_(executor), data_(data), device_(tensor_device(options.machine.device)), cache_(cache),
      batch_size_(options.loop.batch_size), order_(std::move(start.order)),
      mixing_seed_(derived_seed(options.loop.seed ^ kMixingStream, static_cast<std::uint64_t>(start.epoch))),
      augmentation_(options.data.augmentation), batch_(start.first_batch) {
  const auto done = std::min<std::int64_t>(start.first_batch * batch_size_, static_cast<std::int64_t>(order_.size()));
  order_.erase(order_.begin(), order_.begin() + done);
  const std::int64_t views = view_count(options.data);
  const std::int64_t view = views > 0 ? start.epoch % views : start.epoch;
  first_row_ = view * data.train->size();
  const auto size = static_cast<std::int64_t>(order_.size());
  if (start.reads_cache) cached_ = size;
  while (cache != nullptr && cache->is_shared() && cached_ < size && cache->has(rows_at(cached_)))
    cached_ = std::min(cached_ + batch_size_, size);
  if (cached_ == size) return;
  loader_.emplace(
      augmented(data.train, data.preprocessing, options.data.augmentation, options.loop.seed, view),
      std::vector<std::int64_t>(order_.begin() + cached_, order_.end()),
      LoaderOptions{.batch_size = batch_size_, .threads = static_cast<int>(options.machine.loader_threads)});
}

bool EpochSource::next(StepInput& input, double& wait_seconds) {
  using Clock = std::chrono::steady_clock;
  if (position_ < cached_ || !loader_) return next_cached(input);
  const auto start = Clock::now();
  Batch batch;
  const bool more = loader_->next(batch);
  wait_seconds += std::chrono::duration<double>(Clock::now() - start).count();
  if (!more) return false;
  at::Tensor images = normalise(batch.images.to(device_), data_.preprocessing);
  input.labels = batch.labels.to(device_);
  if (augmentation_.mixes()) {
    Random random(derived_seed(mixing_seed_, static_cast<std::uint64_t>(batch_)));
    const Mixing mixing = draw_mixing(augmentation_, images.size(2), images.size(3), random);
    images = mixed_images(images, mixing);
    const auto classes = static_cast<std::int64_t>(data_.train->classes().size());
    input.shares = mixed_labels(input.labels, classes, mixing);
    input.labels = leading_labels(input.labels, mixing);
  }
  ++batch_;
  input.frontier = executor_.run_prefix(images);
  if (cache_ != nullptr) cache_->store(batch.indices + first_row_, batch.labels, input.frontier);
  return true;
}

bool EpochSource::next_cached(StepInput& input) {
  if (position_ >= static_cast<std::int64_t>(order_.size())) return false;
  const at::Tensor rows = rows_at(position_);
  input.frontier = cache_->load(rows);
  input.labels = cache_->labels().index_select(0, rows).to(device_);
  position_ += rows.size(0);
  ++batch_;
  return true;
}

at::Tensor EpochSource::rows_at(std::int64_t position) {
  const std::int64_t count = std::min(batch_size_, static_cast<std::int64_t>(order_.size()) - position);
  return at::from_blob(order_.data() + position, {count}, at::kLong) + first_row_;
}

}  // namespace lorikeet
