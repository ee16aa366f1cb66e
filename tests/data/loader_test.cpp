#include "data/loader.h"

#include <ATen/Functions.h>
#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <numeric>
#include <thread>

#include "base/error.h"
#include "data/made_dataset.h"
#include "refusal.h"

using namespace lorikeet;

namespace {

// Image i is full of i, and takes the longer to read the sooner it comes, so that threads finish out of order.
std::shared_ptr<const MadeDataset> numbered(std::int64_t size, int slowest_ms = 0) {
  return std::make_shared<MadeDataset>(size, 7, [=](std::int64_t i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(slowest_ms - slowest_ms * i / size));
    return Sample{at::full({3, 2, 2}, i, at::kByte), i % 7};
  });
}

std::vector<std::int64_t> counted(std::int64_t count) { return epoch_order(count, /*shuffle=*/false, 0, 0); }

std::vector<std::int64_t> list(const at::Tensor& tensor) {
  return {tensor.data_ptr<std::int64_t>(), tensor.data_ptr<std::int64_t>() + tensor.numel()};
}

}  // namespace

TEST_CASE("batches come in order whatever the threads do, the last one smaller") {
  for (const int threads : {0, 1, 4}) {
    CAPTURE(threads);
    const std::vector<std::int64_t> order = epoch_order(22, /*shuffle=*/true, 3, 0);
    Loader loader(numbered(22, 4), order, {.batch_size = 5, .threads = threads, .prefetch = threads});
    std::vector<std::int64_t> seen;
    std::vector<std::int64_t> sizes;
    for (Batch batch; loader.next(batch);) {
      const std::int64_t count = batch.indices.size(0);
      sizes.push_back(count);
      CHECK(batch.images.sizes() == at::IntArrayRef({count, 3, 2, 2}));
      CHECK(at::equal(batch.labels, batch.indices.remainder(7)));
      CHECK(at::equal(batch.images, batch.indices.to(at::kByte).reshape({count, 1, 1, 1}).expand({count, 3, 2, 2})));
      for (const std::int64_t index : list(batch.indices)) seen.push_back(index);
    }
    CHECK(seen == order);
    CHECK(sizes == std::vector<std::int64_t>{5, 5, 5, 5, 2});
    Batch after;
    CHECK_FALSE(loader.next(after));
  }
  Batch none;
  CHECK_FALSE(Loader(numbered(3), {}, {}).next(none));
}

TEST_CASE("what reading an image throws arrives where its batch would have come") {
  const auto broken = std::make_shared<MadeDataset>(40, 2, [](std::int64_t i) {
    if (i == 9) fail("photos/9.png: got a truncated file, expected a whole one.");
    return Sample{at::zeros({3, 1, 1}, at::kByte), 0};
  });
  Loader loader(broken, counted(40), {.batch_size = 4, .threads = 3});
  Batch batch;
  CHECK(loader.next(batch));
  CHECK(loader.next(batch));
  CHECK(list(batch.indices) == std::vector<std::int64_t>{4, 5, 6, 7});
  CHECK(refusal([&] { loader.next(batch); }) == "photos/9.png: got a truncated file, expected a whole one.");
  CHECK(refusal([&] { loader.next(batch); }) == has("photos/9.png"));  // and does not wait for ever when asked again
}

TEST_CASE("images of several sizes in one batch are refused by name") {
  const auto mixed = std::make_shared<MadeDataset>(3, 2, [](std::int64_t i) {
    return Sample{at::zeros({3, 4, i == 2 ? 6 : 5}, at::kByte), 0};
  });
  Batch batch;
  CHECK(Loader(mixed, counted(3), {.batch_size = 2}).next(batch));  // the odd one makes a separate batch
  CHECK(refusal([&] { Loader(mixed, counted(3), {.batch_size = 3}).next(batch); }) ==
        "made/2: got an image of (3, 4, 6) (channels, height, width), expected (3, 4, 5) like the others of its batch. "
        "Set image_size, or preprocess eval.");
}

TEST_CASE("a loader reads only so far ahead, and can be dropped in the middle") {
  const auto dataset = numbered(1000, 2);
  {
    Loader loader(dataset, counted(1000), {.batch_size = 5, .threads = 4, .prefetch = 3});
    Batch batch;
    CHECK(loader.next(batch));
    std::this_thread::sleep_for(std::chrono::milliseconds(60));  // enough for twice as many
  }
  CHECK(dataset->reads >= 5);
  CHECK(dataset->reads <= 5 * (1 + 3));
  { Loader loader(dataset, counted(1000), {.batch_size = 5, .threads = 4}); }  // and before the first batch
}

TEST_CASE("an epoch's order is a permutation that follows from seed and epoch") {
  CHECK(counted(4) == std::vector<std::int64_t>{0, 1, 2, 3});
  CHECK(epoch_order(0, true, 1, 1).empty());
  const auto order = epoch_order(500, true, 1, 2);
  auto sorted = order;
  std::sort(sorted.begin(), sorted.end());
  CHECK(sorted == counted(500));
  CHECK(order != counted(500));
  CHECK(order == epoch_order(500, true, 1, 2));
  CHECK(order != epoch_order(500, true, 1, 3));
  CHECK(order != epoch_order(500, true, 2, 2));
  CHECK(order != epoch_order(500, true, 2, 1));  // seed and epoch are not just added up
  CHECK(epoch_order(500, true, 0, 1) != epoch_order(500, true, 1, 0));
}
