#include "kernels/buffer_pool.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <doctest/doctest.h>

#include <cstdint>
#include <thread>
#include <vector>

using namespace lorikeet;

namespace {

constexpr std::int64_t kMega = std::int64_t{1} << 20;

at::Tensor bytes(std::int64_t count) { return at::empty({count}, at::kByte); }

}  // namespace

TEST_CASE("large buffers come back, others are left alone") {
  reuse_buffers();
  const PoolUse before = pool_use();
  void* first = nullptr;
  {
    const at::Tensor tensor = bytes(30 * kMega);
    first = tensor.data_ptr();
    CHECK(reinterpret_cast<std::uintptr_t>(first) % 64 == 0);
    CHECK(pool_use().live >= before.live + 30 * kMega);
  }
  CHECK(pool_use().live == before.live);
  CHECK(pool_use().held >= 30 * kMega);

  const at::Tensor same = bytes(29 * kMega);  // a little smaller does
  CHECK(same.data_ptr() == first);
  CHECK(pool_use().reused == before.reused + 1);
  const at::Tensor other = bytes(30 * kMega);
  CHECK(other.data_ptr() != first);

  const PoolUse now = pool_use();
  const at::Tensor small = bytes(kMega);
  const at::Tensor none = bytes(0);
  CHECK(pool_use().requests == now.requests);
}

TEST_CASE("what is held and in use stays below the most that was in use at once") {
  reuse_buffers();
  { const at::Tensor most = bytes(100 * kMega); }
  for (std::int64_t size = 5; size < 90; size += 7) {  // none of these fits what is held
    const at::Tensor tensor = bytes(size * kMega);
    const PoolUse use = pool_use();
    CHECK(use.live + use.held <= use.peak);
  }
}

TEST_CASE("threads may ask at once") {
  reuse_buffers();
  const std::uint64_t live = pool_use().live;
  std::vector<std::thread> threads;
  for (int number = 0; number < 4; ++number) {
    threads.emplace_back([number] {
      for (int round = 0; round < 50; ++round) {
        const at::Tensor tensor = bytes((4 + number) * kMega);
        tensor.fill_(number);
        CHECK(tensor[tensor.numel() - 1].item<int>() == number);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(pool_use().live == live);
}

TEST_CASE("a buffer of whole huge pages takes no more than them") {
  reuse_buffers();
  const PoolUse before = pool_use();
  const at::Tensor tensor = bytes(150 * kMega);  // more than any that is held
  CHECK(pool_use().live == before.live + 150 * kMega);
  CHECK(reinterpret_cast<std::uintptr_t>(tensor.data_ptr()) % (2 * kMega) == 0);
}

TEST_CASE("buffers that grow out of others, or shrink, are whole, and leave those in use alone") {
  reuse_buffers();
  const at::Tensor most = bytes(64 * kMega).fill_(1);
  std::vector<at::Tensor> kept;
  for (std::int64_t size = 4; size < 60; size += 5) {  // each a third larger or smaller than what is held
    { const at::Tensor held = bytes(size * kMega * 3 / 2).fill_(2); }
    { const at::Tensor held = bytes((size + 3) * kMega / 2 + 4 * kMega).fill_(2); }
    kept.push_back(bytes(size * kMega).fill_(static_cast<int>(size)));
    const PoolUse use = pool_use();
    CHECK(use.live + use.held <= use.peak);
  }
  for (std::size_t i = 0; i < kept.size(); ++i) {
    CAPTURE(i);
    CHECK(kept[i].eq(static_cast<int>(4 + 5 * i)).all().item<bool>());
  }
  CHECK(most.eq(1).all().item<bool>());
}
