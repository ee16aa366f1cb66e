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
  /// int64 (N,): indices of the images in the dataset.
  at::Tensor indices;
};

struct LoaderOptions {
  std::int64_t batch_size = 64;
  /// Threads that read and preprocess images; 0: a quarter of the compute threads, at least one.
  int threads = 0;
  /// Number of batches to prefetch.
  int prefetch = 4;
};

class Loader {
 public:
  /// Reads batches of the images at `order`. The last one may be smaller.
  Loader(std::shared_ptr<const Dataset> dataset, std::vector<std::int64_t> order, const LoaderOptions& options);
  ~Loader();
  Loader(const Loader&) = delete;
  Loader& operator=(const Loader&) = delete;

  /// Stores the next batch in `batch`; returns false at the end. Rethrows exceptions from reading images.
  bool next(Batch& batch);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Returns 0 … count − 1, shuffled by `seed` and `epoch` if `shuffle` is true.
std::vector<std::int64_t> epoch_order(std::int64_t count, bool shuffle, std::uint64_t seed, std::int64_t epoch);

}  // namespace lorikeet
