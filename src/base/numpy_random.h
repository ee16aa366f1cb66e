// numpy.random.default_rng(seed) (numpy 2): PCG64 (O'Neill, 2014) seeded by SeedSequence, and the two of its methods
// that PEFT's UniLoRA uses. The numbers are numpy's on every machine.
// Source: numpy/random/bit_generator.pyx, src/pcg64, _generator.pyx.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace lorikeet {

class NumpyRandom {
 public:
  explicit NumpyRandom(std::uint64_t seed);

  /// rng.choice(n, size=count, replace=False). REQUIRES: 0 ≤ count ≤ n.
  std::vector<std::int64_t> choice(std::int64_t n, std::int64_t count);

  /// rng.shuffle(items) for a one-dimensional array.
  void shuffle(std::span<std::int64_t> items);

 private:
  __extension__ using Word = unsigned __int128;

  std::uint64_t next64();
  std::uint32_t next32();
  /// Uniform in [0, most].
  std::uint64_t up_to(std::uint64_t most);
  /// Shuffles the places from `first` on.
  void shuffle_from(std::span<std::int64_t> items, std::size_t first);

  Word state_ = 0;
  Word increment_ = 0;
  /// The upper half of a 64-bit number, used next.
  std::optional<std::uint32_t> next_half_;
};

}  // namespace lorikeet
