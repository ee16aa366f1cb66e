// Batches of a dataset in a given order, prefetched by threads.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "data/dataset.h"

namespace lorikeet {

struct Batch {
  /// uint8 (N, 3, H, W).
  at::Tensor images;
  /// int64 (N,).
  at::Tensor labels;
  /// int64 (N,): which images of the dataset these are.
  at::Tensor indices;
};

struct LoaderOptions {
  std::int64_t batch_size = 64;
  /// Threads that read and prepare images; 0: a quarter of the compute threads, at least one.
  int threads = 0;
  /// Batches kept ready.
  int prefetch = 4;
};

class Loader {
 public:
  /// Batches of the images at `order`; the last one may be smaller.
  Loader(std::shared_ptr<const Dataset> dataset, std::vector<std::int64_t> order, const LoaderOptions& options);
  ~Loader();
  Loader(const Loader&) = delete;
  Loader& operator=(const Loader&) = delete;

  /// The next batch, in order, into `batch`; false at the end. Throws what reading an image threw.
  bool next(Batch& batch);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// 0 … count − 1, shuffled by `seed` and `epoch`; in order where `shuffle` is false.
std::vector<std::int64_t> epoch_order(std::int64_t count, bool shuffle, std::uint64_t seed, std::int64_t epoch);

}  // namespace lorikeet
