// Every product that is added to something is a std::fma, as in PyTorch's AVX2 build, or is exact. No other pair of
// operations can be contracted to one, so the numbers do not depend on the compiler and its options.
#include "base/torch_random.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <numbers>
#include <unordered_map>

namespace lorikeet {
namespace {

constexpr std::size_t kGroup = 16;

// The polynomial with these coefficients, highest power first.
template <std::size_t N>
float polynomial(const std::array<float, N>& coefficients, float x) {
  float out = coefficients[0];
  for (std::size_t i = 1; i < N; ++i) out = std::fma(out, x, coefficients[i]);
  return out;
}

// log256_ps for one x in (0, 1].
float cephes_log(float x) {
  constexpr std::array<float, 9> kCoefficients{7.0376836292E-2F,  -1.1514610310E-1F, 1.1676998740E-1F,
                                               -1.2420140846E-1F, 1.4249322787E-1F,  -1.6668057665E-1F,
                                               2.0000714765E-1F,  -2.4999993993E-1F, 3.3333331174E-1F};
  constexpr float kSqrtHalf = 0.707106781186547524F;
  const auto bits = std::bit_cast<std::uint32_t>(x);
  float exponent = static_cast<float>(static_cast<int>(bits >> 23U) - 0x7f) + 1;
  x = std::bit_cast<float>((bits & 0x807fffffU) | 0x3f000000U);  // the fraction, in [0.5, 1)
  const float below = x < kSqrtHalf ? x : 0;
  x = x - 1;
  if (below != 0) exponent = exponent - 1;
  x = x + below;
  const float z = x * x;
  const float y = std::fma(polynomial(kCoefficients, x) * x, z, exponent * -2.12194440e-4F);
  return std::fma(exponent, 0.693359375F, x + std::fma(z, -0.5F, y));
}

struct SineCosine {
  float sine;
  float cosine;
};

// sincos256_ps for one x in [0, 2π].
SineCosine cephes_sincos(float x) {
  constexpr std::array<float, 3> kCosine{2.443315711809948E-5F, -1.388731625493765E-3F, 4.166664568298827E-2F};
  constexpr std::array<float, 3> kSine{-1.9515295891E-4F, 8.3321608736E-3F, -1.6666654611E-1F};
  const auto octant = (static_cast<std::uint32_t>(x * 1.27323954473516F) + 1) & ~1U;
  const auto y = static_cast<float>(octant);
  for (const float part : {-0.78515625F, -2.4187564849853515625e-4F, -3.77489497744594108e-8F})
    x = std::fma(y, part, x);
  const float z = x * x;
  float cosine = std::fma(polynomial(kCosine, z) * z, z, z * -0.5F) + 1;
  float sine = std::fma(polynomial(kSine, z) * z, x, x);
  if ((octant & 2U) != 0) std::swap(sine, cosine);
  if ((octant & 4U) != 0) sine = -sine;
  if (((octant - 2) & 4U) == 0) cosine = -cosine;
  return {sine, cosine};
}

}  // namespace

void TorchRandom::uniform(std::span<float> out, double from, double to) {
  const auto least = static_cast<float>(from), greatest = static_cast<float>(to);
  for (float& value : out) {
    value = std::fma(static_cast<float>(engine_() & 0xffffffU) * 0x1p-24F, greatest - least, least);
    if (value == greatest) value = least;  // rounded up to the excluded bound
  }
}

void TorchRandom::normal(std::span<float> out, double mean, double std) {
  if (out.size() < kGroup) {
    for (float& value : out) {
      double unit = 0;
      if (next_normal_) {
        unit = *next_normal_;
        next_normal_.reset();
      } else {
        const double u1 = uniform64(), u2 = uniform64();
        const double radius = std::sqrt(-2.0 * std::log1p(-u2));
        const double theta = 2.0 * std::numbers::pi * u1;
        next_normal_ = radius * std::sin(theta);
        unit = radius * std::cos(theta);
      }
      value = static_cast<float>(std::fma(unit, std, mean));
    }
    return;
  }
  const auto scale = static_cast<float>(std), shift = static_cast<float>(mean);
  constexpr auto kTwoPi = static_cast<float>(2 * std::numbers::pi);
  const auto transform = [&](std::span<float> group) {  // Box-Muller
    for (std::size_t i = 0; i < kGroup / 2; ++i) {
      const float radius = std::sqrt(-2.0F * cephes_log(1 - group[i]));
      const SineCosine angle = cephes_sincos(kTwoPi * group[i + kGroup / 2]);
      group[i] = std::fma(radius * angle.cosine, scale, shift);
      group[i + kGroup / 2] = std::fma(radius * angle.sine, scale, shift);
    }
  };
  uniform(out, 0, 1);
  for (std::size_t i = 0; i + kGroup <= out.size(); i += kGroup) transform(out.subspan(i, kGroup));
  if (out.size() % kGroup != 0) {
    const std::span<float> last = out.last(kGroup);
    uniform(last, 0, 1);
    transform(last);
  }
}

double TorchRandom::uniform64() {
  const std::uint64_t high = engine_(), low = engine_();
  return static_cast<double>((high << 32U | low) & ((1ULL << 53U) - 1)) * 0x1p-53;
}

std::vector<std::int64_t> TorchRandom::permutation(std::int64_t n, std::int64_t count) {
  std::unordered_map<std::int64_t, std::int64_t> moved;  // place → the number there, where it is another
  const auto at = [&](std::int64_t place) {
    const auto found = moved.find(place);
    return found == moved.end() ? place : found->second;
  };
  std::vector<std::int64_t> out;
  out.reserve(static_cast<std::size_t>(count));
  for (std::int64_t i = 0; i < count; ++i) {
    std::int64_t chosen = i;
    if (i + 1 < n) {
      const std::uint64_t number = engine_();
      chosen = i + static_cast<std::int64_t>(number % static_cast<std::uint64_t>(n - i));
    }
    out.push_back(at(chosen));
    moved[chosen] = at(i);
  }
  return out;
}

}  // namespace lorikeet
