// A few numbers of the real PyTorch and numpy; tests/reference/random_test.py compares many.
#include <doctest/doctest.h>

#include <algorithm>
#include <numeric>
#include <set>
#include <vector>

#include "base/numpy_random.h"
#include "base/torch_random.h"

using namespace lorikeet;

namespace {

using Floats = std::vector<float>;
using Integers = std::vector<std::int64_t>;

Floats normal(TorchRandom& random, std::size_t count, double mean, double std) {
  Floats out(count);
  random.normal(out, mean, std);
  return out;
}

}  // namespace

TEST_CASE("PyTorch's numbers of a seed") {
  Floats uniform(4);
  TorchRandom(42).uniform(uniform, -0.3, 0.7);
  CHECK(uniform == Floats{0x1.2a1f320000000p-1F, 0x1.3ae1cc0000000p-1F, 0x1.5368f00000000p-4F, 0x1.5190820000000p-1F});

  TorchRandom many(42);
  const Floats twenty = normal(many, 20, 0, 1);
  CHECK(Floats{twenty[0], twenty[1], twenty[15], twenty[16], twenty[19]} ==
        Floats{0x1.ed4a520000000p+0F, 0x1.7cbea60000000p+0F, 0x1.b83f600000000p-1F, -0x1.3d29040000000p-2F,
               -0x1.3e41c00000000p-1F});
  TorchRandom few(42);  // numbers come in pairs, also across calls
  CHECK(normal(few, 3, 0.5, 2) == Floats{0x1.2c62ae0000000p+0F, 0x1.83e69c0000000p-1F, 0x1.f016e60000000p-1F});
  CHECK(normal(few, 2, 0.5, 2) == Floats{0x1.ebdc6c0000000p-1F, -0x1.bee7080000000p+0F});

  CHECK(TorchRandom(777).permutation(1000, 6) == Integers{735, 819, 201, 799, 435, 497});
  Integers all = TorchRandom(1).permutation(50, 50);
  CHECK(all != TorchRandom(2).permutation(50, 50));
  std::sort(all.begin(), all.end());
  for (std::int64_t i = 0; i < 50; ++i) CHECK(all[static_cast<std::size_t>(i)] == i);
  CHECK(TorchRandom(1).permutation(0, 0).empty());
}

TEST_CASE("numpy's numbers of a seed") {
  NumpyRandom random(42);
  CHECK(random.choice(300, 5) == Integers{229, 131, 195, 26, 129});
  Integers items(8);
  std::iota(items.begin(), items.end(), 0);
  random.shuffle(items);
  CHECK(items == Integers{2, 6, 0, 3, 1, 7, 4, 5});
  // More than a fiftieth of a large number, from a seed of more than 32 bits.
  Integers chosen = NumpyRandom((1ULL << 40) + 3).choice(20000, 500);
  CHECK(Integers(chosen.begin(), chosen.begin() + 5) == Integers{3558, 18487, 19488, 12809, 13228});
  CHECK(std::set<std::int64_t>(chosen.begin(), chosen.end()).size() == 500);
}
