#include "data/loader.h"

#include <ATen/Functions.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <condition_variable>
#include <cstring>
#include <exception>
#include <map>
#include <mutex>
#include <numeric>
#include <thread>

#include "base/error.h"
#include "base/random.h"
#include "io/named_tensors.h"

namespace lorikeet {
namespace {

// Plain copies: ATen's would start OpenMP threads in addition to the compute threads.
Batch read_batch(const Dataset& dataset, const std::vector<std::int64_t>& order, std::size_t begin, std::size_t end) {
  Batch batch;
  const auto count = static_cast<std::int64_t>(end - begin);
  batch.labels = at::empty({count}, at::kLong);
  batch.indices = at::empty({count}, at::kLong);
  std::vector<std::int64_t> shape;
  for (std::size_t i = begin; i < end; ++i) {
    const Sample sample = dataset.get(order[i]);
    const at::Tensor image = sample.image.contiguous();
    if (i == begin) {
      shape = image.sizes().vec();
      batch.images = at::empty({count, shape[0], shape[1], shape[2]}, at::kByte);
    }
    if (image.sizes() != shape) {
      fail(dataset.describe(order[i]), ": got an image of ", shape_text(image.sizes()),
           " (channels, height, width), expected ", shape_text(shape),
           " like the others of its batch. Set image_size, or preprocess eval.");
    }
    std::memcpy(batch.images.data_ptr<std::uint8_t>() + (i - begin) * image.nbytes(),
                image.const_data_ptr<std::uint8_t>(), image.nbytes());
    batch.labels.data_ptr<std::int64_t>()[i - begin] = sample.label;
    batch.indices.data_ptr<std::int64_t>()[i - begin] = order[i];
  }
  return batch;
}

}  // namespace

// Threads take the next batch number and put finished batches into `ready`. The reader takes them in order.
struct Loader::State {
  std::shared_ptr<const Dataset> dataset;
  std::vector<std::int64_t> order;
  std::size_t batch_size;
  std::size_t batches;
  std::size_t ahead;

  std::mutex mutex;
  std::condition_variable changed;
  std::size_t next_to_read = 0;  // next batch for a thread
  std::size_t next_to_give = 0;  // next batch for the caller
  std::map<std::size_t, Batch> ready;
  std::map<std::size_t, std::exception_ptr> failed;
  bool stopping = false;
  std::vector<std::thread> threads;

  void work() {
    for (;;) {
      std::size_t number = 0;
      {
        std::unique_lock lock(mutex);
        changed.wait(lock, [&] { return stopping || next_to_read >= batches || next_to_read < next_to_give + ahead; });
        if (stopping || next_to_read >= batches) return;
        number = next_to_read++;
      }
      Batch batch;
      std::exception_ptr error;
      try {
        batch = read_batch(*dataset, order, number * batch_size, std::min(order.size(), (number + 1) * batch_size));
      } catch (...) {
        error = std::current_exception();  // rethrown by next()
      }
      const std::lock_guard lock(mutex);
      if (error) {
        failed[number] = error;
      } else {
        ready[number] = std::move(batch);
      }
      changed.notify_all();
    }
  }
};

Loader::Loader(std::shared_ptr<const Dataset> dataset, std::vector<std::int64_t> order, const LoaderOptions& options)
    : state_(std::make_unique<State>()) {
  state_->dataset = std::move(dataset);
  state_->order = std::move(order);
  state_->batch_size = static_cast<std::size_t>(options.batch_size);
  state_->batches = (state_->order.size() + state_->batch_size - 1) / state_->batch_size;
  state_->ahead = static_cast<std::size_t>(std::max(1, options.prefetch));
  const int threads = options.threads > 0 ? options.threads : std::max(1, at::get_num_threads() / 4);
  for (int i = 0; i < threads; ++i) state_->threads.emplace_back([state = state_.get()] { state->work(); });
}

Loader::~Loader() {
  {
    const std::lock_guard lock(state_->mutex);
    state_->stopping = true;
  }
  state_->changed.notify_all();
  for (auto& thread : state_->threads) thread.join();
}

bool Loader::next(Batch& batch) {
  std::unique_lock lock(state_->mutex);
  const std::size_t number = state_->next_to_give;
  if (number >= state_->batches) return false;
  state_->changed.wait(lock, [&] { return state_->ready.contains(number) || state_->failed.contains(number); });
  if (const auto error = state_->failed.find(number); error != state_->failed.end())
    std::rethrow_exception(error->second);
  batch = std::move(state_->ready[number]);
  state_->ready.erase(number);
  ++state_->next_to_give;
  state_->changed.notify_all();
  return true;
}

std::vector<std::int64_t> epoch_order(std::int64_t count, bool shuffle, std::uint64_t seed, std::int64_t epoch) {
  std::vector<std::int64_t> order(static_cast<std::size_t>(count));
  std::iota(order.begin(), order.end(), 0);
  if (shuffle) Random(seed * 0x9e3779b97f4a7c15ULL + static_cast<std::uint64_t>(epoch)).shuffle(order);
  return order;
}

}  // namespace lorikeet
