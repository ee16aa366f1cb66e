// Random numbers by counter: number `index` of stream `seed` is a function of the two alone, the output of SplitMix64
// (Steele, Lea and Flood, 2014) seeded with `seed` after index + 1 steps. The projections and ties of small outputs and
// the start of the singular basis are computed from these instead of being stored. All of it is integer arithmetic and
// one rounding: every machine and compiler gets the same bits.
#pragma once

#include <cmath>
#include <cstdint>

namespace lorikeet {

inline std::uint64_t counter_word(std::uint64_t seed, std::uint64_t index) {
  std::uint64_t z = seed + (index + 1) * 0x9e3779b97f4a7c15;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

/// Uniform in [−1, 1): one of 2^53 numbers, from the upper bits of the word.
inline double counter_uniform(std::uint64_t seed, std::uint64_t index) {
  const auto centred = static_cast<std::int64_t>(counter_word(seed, index) >> 11) - (std::int64_t{1} << 52);
  return static_cast<double>(centred) * 0x1p-52;
}

/// Nearly normal with mean 0 and variance 1: the sum of the word's four 16-bit parts, centred and divided by its
/// standard deviation, √((2^32 − 1) / 3). The largest magnitude is 3.46.
inline double counter_normal(std::uint64_t seed, std::uint64_t index) {
  const std::uint64_t word = counter_word(seed, index);
  const auto part = [&](int i) { return static_cast<std::int64_t>((word >> (16 * i)) & 0xffff); };
  const std::int64_t centred = part(0) + part(1) + part(2) + part(3) - 2 * 0xffff;
  return static_cast<double>(centred) / std::sqrt(1431655765.0);
}

}  // namespace lorikeet
