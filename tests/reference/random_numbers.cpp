// Writes the numbers of base/torch_random.h and base/numpy_random.h, for tests/reference/random_test.py to compare with
// PyTorch's and numpy's. Each line of the input is a request; the output is the values' bytes, one after another.
//
//   uniform SEED COUNT FROM TO      float32
//   normal SEED COUNT MEAN STD      float32; drawn twice from one generator
//   permutation SEED N COUNT        int64
//   choice SEED N COUNT             int64, then the numbers 0 … COUNT − 1 shuffled by the same generator
#include <cstdio>
#include <iostream>
#include <numeric>
#include <string>

#include "base/numpy_random.h"
#include "base/torch_random.h"

using namespace lorikeet;

namespace {

template <typename T>
void write(const std::vector<T>& values) {
  std::fwrite(values.data(), sizeof(T), values.size(), stdout);
}

}  // namespace

int main() {
  std::string kind;
  std::int64_t seed = 0;
  while (std::cin >> kind >> seed) {
    TorchRandom torch(static_cast<std::uint64_t>(seed));
    std::int64_t first = 0, second = 0;
    double a = 0, b = 0;
    std::cin >> first;
    if (kind == "uniform" || kind == "normal") {
      std::cin >> a >> b;
      std::vector<float> values(static_cast<std::size_t>(first));
      for (int i = 0; i < (kind == "normal" ? 2 : 1); ++i) {
        if (kind == "normal") {
          torch.normal(values, a, b);
        } else {
          torch.uniform(values, a, b);
        }
        write(values);
      }
      continue;
    }
    std::cin >> second;
    if (kind == "permutation") {
      write(torch.permutation(first, second));
    } else {
      NumpyRandom numpy(static_cast<std::uint64_t>(seed));
      write(numpy.choice(first, second));
      std::vector<std::int64_t> items(static_cast<std::size_t>(second));
      std::iota(items.begin(), items.end(), 0);
      numpy.shuffle(items);
      write(items);
    }
  }
  return 0;
}
