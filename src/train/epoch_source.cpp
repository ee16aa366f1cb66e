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
  if (start.reads_cache) return;
  loader_.emplace(
      augmented(data.train, data.preprocessing, options.data.augmentation, options.loop.seed, view), order_,
      LoaderOptions{.batch_size = batch_size_, .threads = static_cast<int>(options.machine.loader_threads)});
}

bool EpochSource::next(StepInput& input, double& wait_seconds) {
  using Clock = std::chrono::steady_clock;
  if (!loader_) return next_cached(input);
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
  const auto size = static_cast<std::int64_t>(order_.size());
  if (position_ >= size) return false;
  const std::int64_t count = std::min(batch_size_, size - position_);
  const at::Tensor rows = at::from_blob(order_.data() + position_, {count}, at::kLong) + first_row_;
  input.frontier = cache_->load(rows);
  input.labels = cache_->labels().index_select(0, rows).to(device_);
  position_ += count;
  return true;
}

}  // namespace lorikeet
