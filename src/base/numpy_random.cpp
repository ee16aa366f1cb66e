#include "base/numpy_random.h"

#include <algorithm>
#include <array>
#include <bit>
#include <limits>
#include <numeric>
#include <unordered_set>
#include <utility>

namespace lorikeet {
namespace {

// numpy.random.SeedSequence(seed).generate_state(4, uint64).
std::array<std::uint64_t, 4> seed_sequence(std::uint64_t seed) {
  const auto folded = [](std::uint32_t value) { return value ^ value >> 16U; };
  std::uint32_t hash = 0x43b0d7e5;
  const auto hashed = [&](std::uint32_t value) {
    value ^= hash;
    hash *= 0x931e8875;
    return folded(value * hash);
  };
  std::array<std::uint32_t, 4> pool{static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32U), 0, 0};
  for (auto& word : pool) word = hashed(word);
  for (std::size_t from = 0; from < pool.size(); ++from) {
    for (std::size_t to = 0; to < pool.size(); ++to) {
      if (from != to) pool[to] = folded(0xca01f9dd * pool[to] - 0x4973f715 * hashed(pool[from]));
    }
  }
  std::array<std::uint64_t, 4> out{};
  hash = 0x8b51f9dd;
  for (std::size_t i = 0; i < 2 * out.size(); ++i) {
    std::uint32_t value = pool[i % pool.size()] ^ hash;
    hash *= 0x58f38ded;
    value = folded(value * hash);
    out[i / 2] |= static_cast<std::uint64_t>(value) << (32 * (i % 2));
  }
  return out;
}

}  // namespace

NumpyRandom::NumpyRandom(std::uint64_t seed) {
  const auto words = seed_sequence(seed);
  const auto joined = [&](std::size_t i) { return static_cast<Word>(words[i]) << 64U | words[i + 1]; };
  increment_ = joined(2) << 1U | 1U;
  next64();
  state_ += joined(0);
  next64();
}

std::uint64_t NumpyRandom::next64() {
  constexpr Word kMultiplier = static_cast<Word>(2549297995355413924ULL) << 64U | 4865540595714422341ULL;
  state_ = state_ * kMultiplier + increment_;
  const auto high = static_cast<std::uint64_t>(state_ >> 64U), low = static_cast<std::uint64_t>(state_);
  return std::rotr(high ^ low, static_cast<int>(high >> 58U));
}

std::uint32_t NumpyRandom::next32() {
  if (next_half_) return *std::exchange(next_half_, std::nullopt);
  const std::uint64_t number = next64();
  next_half_ = static_cast<std::uint32_t>(number >> 32U);
  return static_cast<std::uint32_t>(number);
}

// Lemire's method (arXiv:1805.10941).
std::uint64_t NumpyRandom::up_to(std::uint64_t most) {
  constexpr std::uint64_t kMost32 = std::numeric_limits<std::uint32_t>::max();
  constexpr std::uint64_t kMost64 = std::numeric_limits<std::uint64_t>::max();
  if (most == 0) return 0;
  if (most == kMost32) return next32();
  if (most == kMost64) return next64();
  const std::uint64_t count = most + 1;
  if (most < kMost32) {
    std::uint64_t product = next32() * count;
    if (static_cast<std::uint32_t>(product) < count) {
      const std::uint64_t threshold = (kMost32 - most) % count;
      while (static_cast<std::uint32_t>(product) < threshold) product = next32() * count;
    }
    return product >> 32U;
  }
  Word product = static_cast<Word>(next64()) * count;
  if (static_cast<std::uint64_t>(product) < count) {
    const std::uint64_t threshold = (kMost64 - most) % count;
    while (static_cast<std::uint64_t>(product) < threshold) product = static_cast<Word>(next64()) * count;
  }
  return static_cast<std::uint64_t>(product >> 64U);
}

void NumpyRandom::shuffle_from(std::span<std::int64_t> items, std::size_t first) {
  for (std::size_t i = items.size(); i-- > first;) std::swap(items[i], items[up_to(i)]);
}

// Here numpy draws the places by rejection (random_interval).
void NumpyRandom::shuffle(std::span<std::int64_t> items) {
  for (std::size_t i = items.size(); i-- > 1;) {
    const std::uint64_t mask = std::bit_ceil(i + 1) - 1;
    std::uint64_t place = 0;
    do {
      place = (i <= std::numeric_limits<std::uint32_t>::max() ? next32() : next64()) & mask;
    } while (place > i);
    std::swap(items[i], items[place]);
  }
}

std::vector<std::int64_t> NumpyRandom::choice(std::int64_t n, std::int64_t count) {
  constexpr std::int64_t kLargePopulation = 10'000, kCutoff = 50;
  if (n > kLargePopulation && count > n / kCutoff) {  // shuffle the end of all numbers
    std::vector<std::int64_t> all(static_cast<std::size_t>(n));
    std::iota(all.begin(), all.end(), 0);
    shuffle_from(all, static_cast<std::size_t>(std::max<std::int64_t>(n - count, 1)));
    return {all.end() - count, all.end()};
  }
  std::vector<std::int64_t> out;  // Floyd's algorithm
  std::unordered_set<std::int64_t> chosen;
  for (std::int64_t i = n - count; i < n; ++i) {
    const auto number = static_cast<std::int64_t>(up_to(static_cast<std::uint64_t>(i)));
    out.push_back(chosen.insert(number).second ? number : i);
    chosen.insert(out.back());
  }
  shuffle_from(out, 1);
  return out;
}

}  // namespace lorikeet
